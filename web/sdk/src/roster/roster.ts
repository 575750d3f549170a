import { Emitter } from "../events.js";
import type { LeftReason, Participant, Source, Speaker } from "../values.js";

export interface RosterEvents {
  "participant.joined": Participant;
  "participant.updated": Participant;
  "participant.left": { readonly participant: Participant; readonly reason: LeftReason };
  speakers: readonly Speaker[];
}

/** Who is in the room, in the order of their coming, and who of them is heard. */
export class Roster extends Emitter<RosterEvents> {
  readonly #participants = new Map<string, Participant>();
  #speakers: readonly Speaker[] = [];

  get participants(): readonly Participant[] {
    return [...this.#participants.values()];
  }

  get speakers(): readonly Speaker[] {
    return this.#speakers;
  }

  get(id: string): Participant | undefined {
    return this.#participants.get(id);
  }

  publishes(id: string, source: Source): boolean {
    return this.#participants.get(id)?.tracks[source] ?? false;
  }

  /** The whole truth, after joining or resuming; what changed since the last one is told as single events. */
  handleAll(participants: readonly Participant[]): void {
    const present = new Set(participants.map(({ id }) => id));
    for (const id of [...this.#participants.keys()]) if (!present.has(id)) this.handleLeft(id, "left");
    for (const participant of participants) this.handlePresent(participant);
    this.handleSpeakers(this.#speakers);
  }

  /** Someone joined, or something about them changed. */
  handlePresent(participant: Participant): void {
    const known = this.#participants.get(participant.id);
    this.#participants.set(participant.id, participant);
    if (!known) this.emit("participant.joined", participant);
    else if (JSON.stringify(known) !== JSON.stringify(participant))
      this.emit("participant.updated", participant);
  }

  handleLeft(id: string, reason: LeftReason): void {
    const participant = this.#participants.get(id);
    if (!participant) return;
    this.#participants.delete(id);
    this.emit("participant.left", { participant, reason });
    if (this.#speakers.some((speaker) => speaker.participant === id)) this.handleSpeakers(this.#speakers);
  }

  /** Those who are not here (any more) are left out. */
  handleSpeakers(speakers: readonly Speaker[]): void {
    const present = speakers.filter(({ participant }) => this.#participants.has(participant));
    if (present.length === 0 && this.#speakers.length === 0) return;
    this.#speakers = present;
    this.emit("speakers", present);
  }
}
