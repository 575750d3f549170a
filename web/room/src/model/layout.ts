/** How the tiles of a grid are laid out. px */
export interface Layout {
  readonly columns: number;
  readonly width: number;
  readonly height: number;
}

export interface Area {
  readonly width: number;
  readonly height: number;
}

const WIDEST = 16 / 9;
/** Tiles never get smaller than this; then the grid scrolls. */
const LEAST: Area = { width: 150, height: 112 };

/**
 * The columns that give `count` tiles the most room in `area`. A tile may be as wide as 16:9 and as tall as 5:3 upright
 * where the area is upright.
 */
export function layout(count: number, area: Area, gap: number): Layout {
  const tallest = area.height > area.width ? 3 / 5 : 4 / 3;
  let best: Layout = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns++) {
    const rows = Math.ceil(count / columns);
    const cell = {
      width: (area.width - gap * (columns - 1)) / columns,
      height: (area.height - gap * (rows - 1)) / rows,
    };
    const width = Math.min(cell.width, cell.height * WIDEST);
    const height = Math.min(cell.height, width / tallest);
    if (width * height > best.width * best.height) best = { columns, width, height };
  }
  if (best.width >= LEAST.width && best.height >= LEAST.height) return floor(best);
  const columns = Math.max(1, Math.min(count, Math.floor((area.width + gap) / (LEAST.width + gap))));
  const width = (area.width - gap * (columns - 1)) / columns;
  return floor({ columns, width, height: Math.max(LEAST.height, width / WIDEST) });
}

function floor({ columns, width, height }: Layout): Layout {
  return { columns, width: Math.max(0, Math.floor(width)), height: Math.max(0, Math.floor(height)) };
}
