import type { Environment } from "./environment.js";
import { asDialroomError, DialroomError } from "./errors.js";
import { Emitter } from "./events.js";
import type { LocalMedia } from "./local/local_media.js";
import { AudioOutput } from "./media/audio_output.js";
import { MediaConnection, type MediaState } from "./media/connection.js";
import type { Slots } from "./media/peer.js";
import { type Quality, type QualitySample, qualityBetween, sampleFrom } from "./media/quality.js";
import { VideoSlots } from "./media/video_slots.js";
import { Roster } from "./roster/roster.js";
import { Signalling, type SignallingState, type TokenSource } from "./signalling/signalling.js";
import type {
  EndReason,
  LeftReason,
  Participant,
  RoomInfo,
  Slot,
  Source,
  Speaker,
  VideoSource,
} from "./values.js";
import type { Joined, ServerEvent } from "./wire.js";

export interface RoomEvents {
  /** `reconnecting` while the server is out of reach; sound and picture may go on meanwhile. */
  state: SignallingState;
  /** Whether sound and picture flow. */
  media: MediaState;
  "participant.joined": Participant;
  "participant.updated": Participant;
  "participant.left": { readonly participant: Participant; readonly reason: LeftReason };
  /** Who is heard now, loudest first. */
  speakers: readonly Speaker[];
  /** Whose voice fills which of our audio slots. */
  slots: readonly Slot[];
  /** `videoTrack` has other answers now. */
  videos: undefined;
  "room.updated": RoomInfo;
  /** We are in another room now. */
  moved: RoomInfo;
  /** Our own microphone, camera or screen went on or off, or its track is another one now. */
  local: Source;
  quality: Quality;
  /** Sound waits for `startAudio` to be called from a click. */
  "audio.blocked": boolean;
  /** Something failed in the background; the room goes on. */
  error: DialroomError;
  /** We are out, for good. */
  ended: { readonly reason: EndReason; readonly error: DialroomError | null };
}

export interface RoomOptions {
  readonly url: string;
  readonly token: TokenSource;
  readonly name?: string | undefined;
  readonly slots: Slots;
  readonly local: LocalMedia;
  readonly environment: Environment;
}

const STATISTICS_INTERVAL = 3_000;

/** A room we are in. Made by `join`. */
export class Room extends Emitter<RoomEvents> {
  /** Our own microphone, camera and screen, also for previews and choosing devices. */
  readonly local: LocalMedia;
  readonly #signalling: Signalling;
  readonly #media: MediaConnection;
  readonly #videos: VideoSlots;
  readonly #output: AudioOutput;
  readonly #roster = new Roster();
  readonly #stops: (() => void)[] = [];
  #joined: Joined | null = null;
  #info: RoomInfo | null = null;
  #slots: readonly Slot[] = [];
  #quality: Quality = "good";
  #published = "";
  #sending = false;
  #sample: QualitySample | null = null;

  /** @internal */
  constructor({ environment, local, slots, ...signalling }: RoomOptions) {
    super();
    this.local = local;
    this.#signalling = new Signalling(environment, signalling);
    this.#output = new AudioOutput(() => environment.createAudioElement());
    this.#videos = new VideoSlots({
      subscribe: async (requests) => void (await this.#signalling.request("subscribe", { slots: requests })),
      publishes: (participant, source) => this.#roster.publishes(participant, source),
    });
    this.#media = new MediaConnection({
      slots,
      createPeerConnection: (configuration) => environment.createPeerConnection(configuration),
      negotiate: async (offer) => String((await this.#signalling.request("offer", offer)).sdp),
      track: (source) => local.track(source),
      random: () => environment.random(),
    });
    this.#connectManagers();
    const timer = setInterval(() => void this.#sampleQuality(), STATISTICS_INTERVAL);
    this.#stops.push(() => clearInterval(timer));
  }

  /** @internal @throws DialroomError why the room cannot be joined */
  async start(): Promise<void> {
    try {
      await this.#signalling.start();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  get state(): SignallingState {
    return this.#signalling.state;
  }

  get media(): MediaState {
    return this.#media.state;
  }

  get info(): RoomInfo {
    return this.#info ?? notJoined();
  }

  /** The id of the meeting that is on in the room. */
  get session(): string {
    return this.#joined?.session ?? notJoined();
  }

  /** Ourselves. */
  get me(): Participant {
    const joined = this.#joined ?? notJoined();
    return this.#roster.get(joined.participant.id) ?? joined.participant;
  }

  /** Everyone, ourselves too, in the order of their coming. */
  get participants(): readonly Participant[] {
    return this.#roster.participants;
  }

  participant(id: string): Participant | undefined {
    return this.#roster.get(id);
  }

  get speakers(): readonly Speaker[] {
    return this.#roster.speakers;
  }

  get slots(): readonly Slot[] {
    return this.#slots;
  }

  get quality(): Quality {
    return this.#quality;
  }

  get audioBlocked(): boolean {
    return this.#output.blocked;
  }

  /** Mutes or unmutes ourselves; unmuting also lifts a host's mute. @throws DialroomError as `LocalMedia` */
  setMicrophone(on: boolean): Promise<void> {
    return this.local.setMicrophone(on);
  }

  setCamera(on: boolean): Promise<void> {
    return this.local.setCamera(on);
  }

  setScreen(on: boolean): Promise<void> {
    return this.local.setScreen(on);
  }

  /** Where everyone is heard; `""` is the system's choice. */
  useSpeaker(deviceId: string): Promise<void> {
    return this.#output.useDevice(deviceId);
  }

  startAudio(): Promise<void> {
    return this.#output.start();
  }

  /**
   * Asks for someone's video until the returned function is called. `videoTrack` has it after a `videos` event. Our own
   * needs no asking.
   */
  watch(participant: string, source: VideoSource): () => void {
    if (participant === this.me.id) return () => {};
    return this.#videos.want(participant, source);
  }

  /** Someone's video, or our own, if it is received now. */
  videoTrack(participant: string, source: VideoSource): MediaStreamTrack | null {
    if (participant === this.#joined?.participant.id) return this.local.track(source);
    const mid = this.#videos.midOf(participant, source);
    return mid === null ? null : (this.#media.peer?.videoTracks.get(mid) ?? null);
  }

  /** The audio slots with their tracks, and who is heard in them now. */
  audioTracks(): readonly (Slot & { readonly track: MediaStreamTrack })[] {
    return [...(this.#media.peer?.audioTracks ?? [])].map(([mid, track]) => {
      const slot = this.#slots.find((known) => known.mid === mid);
      return { mid, participant: slot?.participant ?? null, source: slot?.source ?? null, track };
    });
  }

  async rename(name: string): Promise<void> {
    await this.#signalling.request("rename", { name });
  }

  async raiseHand(raised: boolean): Promise<void> {
    await this.#signalling.request("hand", { raised });
  }

  /** For hosts. @throws DialroomError `forbidden` for others */
  async moderate(
    ...[action, participant]:
      | [action: "mute" | "unmute" | "remove" | "lower_hand", participant: string]
      | [action: "lock" | "unlock" | "mute_all" | "end"]
  ): Promise<void> {
    await this.#signalling.request("moderate", { action, ...(participant ? { participant } : {}) });
  }

  /** Leaves the room and lets go of microphone, camera and screen. */
  leave(): Promise<void> {
    return this.#signalling.leave();
  }

  /** The browser's own statistics of the connection. */
  async statistics(): Promise<RTCStatsReport | null> {
    return (await this.#media.peer?.statistics()) ?? null;
  }

  #connectManagers(): void {
    this.#signalling.on("joined", (joined) => this.#handleJoined(joined));
    this.#signalling.on("event", (event) => this.#handleEvent(event));
    this.#signalling.on("state", (state) => {
      if (state === "reconnecting") this.#media.handleUnreachable();
      this.emit("state", state);
    });
    this.#signalling.on("ended", (ended) => {
      this.#close();
      this.local.close();
      this.emit("ended", ended);
    });
    this.#media.on("state", (state) => this.emit("media", state));
    this.#media.on("error", (error) => {
      // `state` and `media` tell of these already.
      if (error.reason !== "network") this.emit("error", error);
    });
    this.#media.on("peer", (peer) => {
      this.#sending = true;
      void this.#publish();
      this.#videos.handlePeer([...peer.videoTracks.keys()]);
      void this.#output.handleTracks(peer.audioTracks.values());
    });
    this.#videos.on("changed", () => this.emit("videos", undefined));
    this.#videos.on("error", (error) => this.emit("error", error));
    this.#output.on("blocked", (blocked) => this.emit("audio.blocked", blocked));
    this.#stops.push(
      this.local.on("changed", (source) => void this.#handleLocal(source)),
      this.local.on("error", (error) => this.emit("error", error)),
    );
    this.#roster.on("participant.joined", (participant) => this.emit("participant.joined", participant));
    this.#roster.on("participant.updated", (participant) => this.emit("participant.updated", participant));
    this.#roster.on("participant.left", (left) => this.emit("participant.left", left));
    this.#roster.on("speakers", (speakers) => this.emit("speakers", speakers));
  }

  #handleJoined(joined: Joined): void {
    const first = this.#joined === null;
    const moved = !first && this.#info?.id !== joined.room.id;
    this.#joined = joined;
    this.#info = joined.room;
    this.#published = "";
    if (moved) this.emit("moved", joined.room);
    else if (!first) this.emit("room.updated", joined.room);
    const wasMuted = this.#mutedByHost;
    this.#roster.handleAll(joined.participants);
    this.#obeyMute(wasMuted);
    if (!joined.resumed) this.#sending = false;
    void this.#media.handleReachable(joined.iceServers, !joined.resumed);
    if (joined.resumed) this.#videos.handleResumed();
    void this.#publish();
  }

  #handleEvent(event: ServerEvent): void {
    switch (event.type) {
      case "participant.joined":
      case "participant.updated": {
        const wasMuted = this.#mutedByHost;
        this.#roster.handlePresent(event.participant);
        this.#obeyMute(wasMuted);
        return this.#videos.plan();
      }
      case "participant.left":
        this.#roster.handleLeft(event.participant, event.reason);
        return this.#videos.plan();
      case "speakers":
        return this.#roster.handleSpeakers(event.speakers);
      case "slots":
        this.#slots = event.slots;
        return this.emit("slots", event.slots);
      case "room.updated":
        this.#info = event.room;
        return this.emit("room.updated", event.room);
      case "media.lost":
        return this.#media.handleLost();
      case "moved":
      case "ended":
    }
  }

  async #handleLocal(source: Source): Promise<void> {
    this.emit("local", source);
    try {
      await this.#media.publish(source, this.local.track(source));
      await this.#publish();
    } catch (error) {
      this.emit("error", asDialroomError(error));
    }
  }

  get #mutedByHost(): boolean {
    return this.#roster.get(this.#joined?.participant.id ?? "")?.muted ?? false;
  }

  /** A host's mute switches our microphone off; only we ourselves switch it on again. */
  #obeyMute(wasMuted: boolean): void {
    if (this.#mutedByHost && !wasMuted && this.local.state.microphone) void this.local.setMicrophone(false);
  }

  /**
   * Tells what we send now: not before the server has our peer, for others ask for it at once. The next join or resume
   * tells it again if the connection is lost meanwhile.
   */
  async #publish(): Promise<void> {
    const now = this.local.state;
    const published = JSON.stringify(now);
    if (!this.#sending || published === this.#published || this.state !== "connected") return;
    this.#published = published;
    try {
      await this.#signalling.request("publish", now);
    } catch (caught) {
      const error = asDialroomError(caught);
      this.#published = "";
      if (error.reason !== "network") this.emit("error", error);
    }
  }

  async #sampleQuality(): Promise<void> {
    const report = await this.statistics().catch(() => null);
    const before = this.#sample;
    this.#sample = report && sampleFrom(report);
    const connected = this.state === "connected" && this.media === "connected";
    const quality = !connected
      ? "lost"
      : before && this.#sample
        ? qualityBetween(before, this.#sample)
        : this.#quality;
    if (quality === this.#quality) return;
    this.#quality = quality;
    this.emit("quality", quality);
  }

  #close(): void {
    for (const stop of this.#stops) stop();
    this.#media.close();
    this.#output.close();
  }
}

function notJoined(): never {
  throw new DialroomError({
    code: "not_joined",
    reason: "usage",
    title: "The room is not joined yet",
    fix: "Use the Room that `await join(…)` gives.",
  });
}
