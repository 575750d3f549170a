import type { Speaker } from "dialroom";

/** What counts as speech, dBov; quieter is a line's noise. */
const LOUD = -60;
/** How long someone is still shown as speaking, ms: longer than the gaps between words. */
const HOLD = 600;

/** Who is shown as speaking: without flicker between words, and without those whose line only hisses. */
export class Speaking {
  readonly #until = new Map<string, number>();

  /** @returns who speaks at `now` (ms), and when to ask again by `at`, if at all. */
  handle(speakers: readonly Speaker[], now: number): { speaking: ReadonlySet<string>; askAt: number | null } {
    for (const { participant, level } of speakers) if (level > LOUD) this.#until.set(participant, now + HOLD);
    return this.at(now, speakers);
  }

  /** As `handle`, without news: `speakers` are those of the last event. */
  at(now: number, speakers: readonly Speaker[]): { speaking: ReadonlySet<string>; askAt: number | null } {
    const loud = new Set(speakers.filter(({ level }) => level > LOUD).map(({ participant }) => participant));
    let askAt: number | null = null;
    for (const [participant, until] of this.#until) {
      if (loud.has(participant)) continue;
      if (until <= now) this.#until.delete(participant);
      else askAt = Math.min(askAt ?? until, until);
    }
    return { speaking: new Set(this.#until.keys()), askAt };
  }
}
