const DOTS = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => ({ row, column })));

/** dialroom's mark: a telephone's keys, the middle one lit. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg class="mark" viewBox="0 0 24 24" width={size} height={size} role="img" aria-label="dialroom">
      {DOTS.map(({ row, column }) => {
        const middle = row === 1 && column === 1;
        return (
          <circle
            key={`${row}${column}`}
            class={middle ? "lit" : ""}
            cx={4.5 + 7.5 * column}
            cy={4.5 + 7.5 * row}
            r={middle ? 3.3 : 2.2}
          />
        );
      })}
    </svg>
  );
}
