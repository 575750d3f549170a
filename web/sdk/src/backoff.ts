/** When to try again: exponential with full jitter, so that a restarted server is not met by everyone at once. */
export interface Backoff {
  /** Upper bound of the first wait, ms. */
  readonly first: number;
  /** Upper bound of every wait, ms. */
  readonly most: number;
}

/** How long to wait before try number `attempt` (from 0), ms. `random` is in [0, 1). Never less than a tenth of the bound. */
export function waitBefore(attempt: number, { first, most }: Backoff, random: number): number {
  const bound = Math.min(most, first * 2 ** Math.min(attempt, 30));
  return Math.round(bound * (0.1 + 0.9 * random));
}
