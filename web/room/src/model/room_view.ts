import { batch, computed, signal } from "@preact/signals";
import { DialroomError, type Participant, type Room } from "dialroom";
import { Speaking } from "./speaking.js";
import type { Toasts } from "./toasts.js";
import { displayName, leftSentence } from "./words.js";

export type Panel = "people" | "phone" | "settings";

export interface Screen {
  readonly participant: Participant;
  readonly isMe: boolean;
}

/** A room as signals, for components to show, and its actions with their failures told as toasts. */
export class RoomView {
  readonly room: Room;
  readonly info;
  readonly me;
  readonly state;
  readonly media;
  readonly quality;
  readonly participants;
  /** By participant id. */
  readonly speaking = signal<ReadonlySet<string>>(new Set());
  readonly local;
  readonly devices;
  readonly audioBlocked;
  readonly panel = signal<Panel | null>(null);
  readonly isHost = computed(() => this.me.value.role === "host");
  readonly reconnecting = computed(
    () => this.state.value === "reconnecting" || this.media.value === "interrupted",
  );
  /** Others' screens before our own. */
  readonly screens = computed<readonly Screen[]>(() => {
    const mine = this.me.value.id;
    const others = this.participants.value
      .filter(({ id, tracks }) => id !== mine && tracks.screen)
      .map((participant) => ({ participant, isMe: false }));
    return this.local.value.screen ? [...others, { participant: this.me.value, isMe: true }] : others;
  });
  readonly #speaking = new Speaking();
  #speakingTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #toasts: Toasts;
  readonly #stops: (() => void)[];

  constructor(room: Room, toasts: Toasts) {
    this.room = room;
    this.#toasts = toasts;
    this.info = signal(room.info);
    this.me = signal(room.me);
    this.state = signal(room.state);
    this.media = signal(room.media);
    this.quality = signal(room.quality);
    this.participants = signal(room.participants);
    this.local = signal(room.local.state);
    this.devices = signal(room.local.devices);
    this.audioBlocked = signal(room.audioBlocked);
    this.#stops = this.#listen();
  }

  close(): void {
    clearTimeout(this.#speakingTimer);
    for (const stop of this.#stops) stop();
  }

  toggle(panel: Panel): void {
    this.panel.value = this.panel.value === panel ? null : panel;
  }

  toggleMicrophone(): Promise<void> {
    return this.attempt(() => this.room.setMicrophone(!this.local.value.microphone));
  }

  toggleCamera(): Promise<void> {
    return this.attempt(() => this.room.setCamera(!this.local.value.camera));
  }

  toggleScreen(): Promise<void> {
    return this.attempt(() => this.room.setScreen(!this.local.value.screen));
  }

  toggleHand(): Promise<void> {
    return this.attempt(() => this.room.raiseHand(!this.me.value.handRaised));
  }

  /** Says what failed, and what to do about it; not having chosen a screen is no failure. */
  async attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof DialroomError)) throw error;
      if (error.code !== "screen_cancelled") this.#sayError(error);
    }
  }

  #sayError(error: DialroomError): void {
    this.#toasts.say([error.title, error.fix].filter(Boolean).join(". "), "problem");
  }

  #listen(): (() => void)[] {
    const { room } = this;
    return [
      room.on("state", (state) => {
        this.state.value = state;
      }),
      room.on("media", (media) => {
        this.media.value = media;
      }),
      room.on("quality", (quality) => {
        this.quality.value = quality;
      }),
      room.on("audio.blocked", (blocked) => {
        this.audioBlocked.value = blocked;
      }),
      room.on("room.updated", () => this.#handleInfo()),
      room.on("moved", (info) => {
        this.#toasts.say(`You are now in ${info.name}`);
        this.#handleInfo();
      }),
      room.on("participant.joined", (participant) => this.#handleJoined(participant)),
      room.on("participant.updated", (participant) => this.#handleUpdated(participant)),
      room.on("participant.left", ({ participant, reason }) => {
        this.#refreshPeople();
        this.#toasts.say(leftSentence(participant, reason));
      }),
      room.on("speakers", (speakers) => {
        this.#showSpeaking(this.#speaking.handle(speakers, Date.now()));
      }),
      room.on("local", () => {
        this.local.value = room.local.state;
      }),
      room.on("error", (error) => this.#sayError(error)),
      room.local.on("devices", (devices) => {
        this.devices.value = devices;
      }),
    ];
  }

  #handleInfo(): void {
    const { locked } = this.info.value;
    this.info.value = this.room.info;
    this.#refreshPeople();
    if (locked !== this.room.info.locked) {
      this.#toasts.say(this.room.info.locked ? "The room is locked" : "The room is open again");
    }
  }

  #handleJoined(participant: Participant): void {
    this.#refreshPeople();
    if (participant.id === this.me.value.id) return;
    this.#toasts.say(`${displayName(participant)} joined${participant.kind === "phone" ? " by phone" : ""}`);
  }

  #handleUpdated(participant: Participant): void {
    const before = this.participants.value.find(({ id }) => id === participant.id);
    this.#refreshPeople();
    if (!before) return;
    const isMe = participant.id === this.me.value.id;
    if (isMe && participant.muted && !before.muted) this.#toasts.say("A host muted you");
    if (isMe && before.muted && !participant.muted && !this.local.value.microphone) {
      this.#toasts.say("A host asks you to speak: unmute yourself");
    }
    if (!isMe && participant.handRaised && !before.handRaised) {
      this.#toasts.say(`${displayName(participant)} raised a hand`);
    }
    if (!isMe && participant.tracks.screen && !before.tracks.screen) {
      this.#toasts.say(`${displayName(participant)} shares a screen`);
    }
  }

  #showSpeaking({ speaking, askAt }: ReturnType<Speaking["at"]>): void {
    this.speaking.value = speaking;
    clearTimeout(this.#speakingTimer);
    if (askAt === null) return;
    this.#speakingTimer = setTimeout(
      () => this.#showSpeaking(this.#speaking.at(Date.now(), this.room.speakers)),
      askAt - Date.now(),
    );
  }

  #refreshPeople(): void {
    batch(() => {
      this.participants.value = this.room.participants;
      this.me.value = this.room.me;
    });
  }
}
