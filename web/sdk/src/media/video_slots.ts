import { asDialroomError, type DialroomError } from "../errors.js";
import { Emitter } from "../events.js";
import type { VideoSource } from "../values.js";

export interface VideoSlotEvents {
  /** Whose video is received has changed. */
  changed: undefined;
  error: DialroomError;
}

export interface SlotRequest {
  readonly mid: string;
  readonly participant: string | null;
  readonly source: VideoSource | null;
}

export interface Wanted {
  readonly participant: string;
  readonly source: VideoSource;
}

export interface VideoSlotsOptions {
  /** Asks the server to fill the slots so. @throws DialroomError */
  subscribe(slots: readonly SlotRequest[]): Promise<void>;
  publishes(participant: string, source: VideoSource): boolean;
}

/**
 * Which video fills which slot: what is looked at and published gets one, screens first, then in the order it was asked
 * for; the rest waits for a free slot. A slot is shown only once the server has confirmed it, so that nobody is seen
 * under another's name.
 */
export class VideoSlots extends Emitter<VideoSlotEvents> {
  readonly #options: VideoSlotsOptions;
  /** Ordered by the asking; the count is of those who look. */
  readonly #wanted = new Map<string, { readonly wanted: Wanted; watchers: number }>();
  #asked = new Map<string, Wanted | null>();
  readonly #confirmed = new Map<string, string>();
  #planned = false;

  constructor(options: VideoSlotsOptions) {
    super();
    this.#options = options;
  }

  /** A new peer with these slots, all empty. */
  handlePeer(mids: readonly string[]): void {
    this.#asked = new Map(mids.map((mid) => [mid, null]));
    this.#confirmed.clear();
    this.emit("changed", undefined);
    this.plan();
  }

  /** Asks again for all slots: whether the server still knows them after a lost socket is not certain. */
  handleResumed(): void {
    const slots = [...this.#asked].map(([mid, wanted]) => request(mid, wanted));
    if (slots.length > 0) void this.#subscribe(slots);
    this.plan();
  }

  /** Looks at a video until the returned function is called. */
  want(participant: string, source: VideoSource): () => void {
    const wanted = { participant, source };
    const key = keyOf(wanted);
    const entry = this.#wanted.get(key) ?? { wanted, watchers: 0 };
    entry.watchers++;
    this.#wanted.set(key, entry);
    this.plan();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--entry.watchers === 0) this.#wanted.delete(key);
      this.plan();
    };
  }

  /** The slot in which this video is received now. */
  midOf(participant: string, source: VideoSource): string | null {
    return this.#confirmed.get(keyOf({ participant, source })) ?? null;
  }

  /** Works out, soon and once for many causes, what has to change. To be called when someone publishes or stops. */
  plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      this.#apply();
    });
  }

  #apply(): void {
    const wanted = [...this.#wanted.values()]
      .map((entry) => entry.wanted)
      .filter(({ participant, source }) => this.#options.publishes(participant, source));
    const changes = assign(this.#asked, wanted);
    if (changes.length === 0) return;
    for (const [mid, wanted] of changes) {
      const before = this.#asked.get(mid);
      if (before && this.midOf(before.participant, before.source) === mid)
        this.#confirmed.delete(keyOf(before));
      // Taken out and put back: the slot that was emptied longest ago is filled first.
      this.#asked.delete(mid);
      this.#asked.set(mid, wanted);
    }
    this.emit("changed", undefined);
    void this.#subscribe(changes.map(([mid, wanted]) => request(mid, wanted)));
  }

  async #subscribe(slots: readonly SlotRequest[]): Promise<void> {
    const asked = this.#asked;
    try {
      await this.#options.subscribe(slots);
    } catch (caught) {
      const error = asDialroomError(caught);
      if (error.reason === "network") return;
      // Free again for the next plan; asking the same at once would be refused again.
      for (const { mid, participant } of slots) {
        if (asked.get(mid)?.participant === participant) asked.set(mid, null);
      }
      this.emit("error", error);
      return;
    }
    if (asked !== this.#asked) return;
    for (const { mid, participant, source } of slots) {
      const now = asked.get(mid);
      if (participant && source && now?.participant === participant && now.source === source) {
        this.#confirmed.set(keyOf(now), mid);
      }
    }
    this.emit("changed", undefined);
  }
}

/** What must change so that `slots` hold as much of `wanted` as fits; what is in place stays there. */
export function assign(
  slots: ReadonlyMap<string, Wanted | null>,
  wanted: readonly Wanted[],
): [mid: string, wanted: Wanted | null][] {
  const screensFirst = [...wanted].sort(
    (a, b) => Number(b.source === "screen") - Number(a.source === "screen"),
  );
  const chosen = new Map(screensFirst.slice(0, slots.size).map((item) => [keyOf(item), item]));
  const changes = new Map<string, Wanted | null>();
  const free: string[] = [];
  for (const [mid, current] of slots) {
    if (current && chosen.delete(keyOf(current))) continue;
    free.push(mid);
    if (current) changes.set(mid, null);
  }
  for (const item of chosen.values()) {
    const mid = free.shift();
    if (mid !== undefined) changes.set(mid, item);
  }
  return [...changes];
}

function request(mid: string, wanted: Wanted | null): SlotRequest {
  return { mid, participant: wanted?.participant ?? null, source: wanted?.source ?? null };
}

function keyOf({ participant, source }: Wanted): string {
  return `${participant} ${source}`;
}
