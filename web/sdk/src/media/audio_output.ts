import { Emitter } from "../events.js";

export interface AudioOutputEvents {
  /** The browser lets no sound out until the person has clicked something. */
  blocked: boolean;
}

/** Plays what the audio slots receive. */
export class AudioOutput extends Emitter<AudioOutputEvents> {
  readonly #create: () => HTMLAudioElement;
  #elements: HTMLAudioElement[] = [];
  #device = "";
  #blocked = false;

  constructor(create: () => HTMLAudioElement) {
    super();
    this.#create = create;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  /** A new peer's tracks replace those of the one before. */
  async handleTracks(tracks: Iterable<MediaStreamTrack>): Promise<void> {
    this.close();
    this.#elements = [...tracks].map((track) => {
      const element = this.#create();
      element.srcObject = new MediaStream([track]);
      element.autoplay = true;
      return element;
    });
    await this.useDevice(this.#device).catch(() => undefined);
    await this.start();
  }

  /** Starts the sound; to be called from a click when it is `blocked`. */
  async start(): Promise<void> {
    const results = await Promise.allSettled(this.#elements.map((element) => element.play()));
    const refused = results.some(({ status, ...rest }) => status === "rejected" && isRefusal(rest));
    if (refused === this.#blocked) return;
    this.#blocked = refused;
    this.emit("blocked", refused);
  }

  /** Where the sound comes out; `""` is the system's choice. Browsers that cannot choose stay with that. */
  async useDevice(deviceId: string): Promise<void> {
    this.#device = deviceId;
    await Promise.all(this.#elements.map((element) => element.setSinkId?.(deviceId)));
  }

  close(): void {
    for (const element of this.#elements) element.srcObject = null;
    this.#elements = [];
  }
}

/** Other failures, such as being replaced while starting, say nothing about autoplay. */
function isRefusal(result: object): boolean {
  const reason: unknown = "reason" in result ? result.reason : null;
  return reason instanceof Error || reason instanceof DOMException
    ? reason.name === "NotAllowedError"
    : false;
}
