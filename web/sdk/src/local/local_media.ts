import { browser, type Environment } from "../environment.js";
import { asDialroomError, DialroomError, deviceError, insecureContext } from "../errors.js";
import { Emitter } from "../events.js";
import type { Source, Tracks } from "../values.js";
import { type Devices, listDevices, NO_DEVICES } from "./devices.js";

export interface LocalMediaEvents {
  /** A source went on or off, or its track is another one now. */
  changed: Source;
  devices: Devices;
  /** A device was lost and nothing could take its place. */
  error: DialroomError;
}

type Device = "microphone" | "camera";

/**
 * Our own microphone, camera and screen. A muted microphone stays open, so that unmuting takes no time; a camera that
 * is off is let go, so that its light goes out.
 */
export class LocalMedia extends Emitter<LocalMediaEvents> {
  readonly #environment: Environment;
  readonly #tracks = new Map<Source, MediaStreamTrack>();
  readonly #chosen: Record<Device, string> = { microphone: "", camera: "" };
  readonly #queues = new Map<Source, Promise<void>>();
  readonly #stopListening: () => void;
  #devices = NO_DEVICES;
  #microphoneOn = false;
  #closed = false;

  constructor(environment: Environment = browser) {
    super();
    this.#environment = environment;
    const changed = (): void => void this.refreshDevices();
    environment.mediaDevices?.addEventListener?.("devicechange", changed);
    this.#stopListening = () => environment.mediaDevices?.removeEventListener?.("devicechange", changed);
  }

  /** What is on now. */
  get state(): Tracks {
    return {
      microphone: this.#microphoneOn,
      camera: this.#tracks.has("camera"),
      screen: this.#tracks.has("screen"),
    };
  }

  /** A muted microphone's track is there and disabled. */
  track(source: Source): MediaStreamTrack | null {
    return this.#tracks.get(source) ?? null;
  }

  /** The device in use, or chosen for the next time. */
  deviceOf(device: Device): string {
    return this.#tracks.get(device)?.getSettings().deviceId ?? this.#chosen[device];
  }

  get devices(): Devices {
    return this.#devices;
  }

  /** Opens microphone and camera with one question to the person where the browser allows it; tells what failed. */
  async start(wanted: {
    microphone: boolean;
    camera: boolean;
  }): Promise<Partial<Record<Device, DialroomError>>> {
    if (wanted.microphone && wanted.camera) await this.#askForBoth();
    const failures: Partial<Record<Device, DialroomError>> = {};
    const note = (device: Device) => (error: unknown) => {
      failures[device] = asDialroomError(error);
    };
    if (wanted.microphone) await this.setMicrophone(true).catch(note("microphone"));
    if (wanted.camera) await this.setCamera(true).catch(note("camera"));
    return failures;
  }

  /** @throws DialroomError `permission_denied`, `no_device`, `device_busy`, `insecure_context` */
  setMicrophone(on: boolean): Promise<void> {
    return this.#inTurn("microphone", async () => {
      if (on && !this.#tracks.has("microphone")) await this.#open("microphone");
      const track = this.#tracks.get("microphone");
      if (track) track.enabled = on;
      this.#microphoneOn = on && track !== undefined;
      this.emit("changed", "microphone");
    });
  }

  /** @throws DialroomError `permission_denied`, `no_device`, `device_busy`, `insecure_context` */
  setCamera(on: boolean): Promise<void> {
    return this.#inTurn("camera", async () => {
      if (on === this.#tracks.has("camera")) return;
      if (on) await this.#open("camera");
      else this.#drop("camera");
      this.emit("changed", "camera");
    });
  }

  /** @throws DialroomError `screen_cancelled`, `insecure_context` */
  setScreen(on: boolean): Promise<void> {
    return this.#inTurn("screen", async () => {
      if (on === this.#tracks.has("screen")) return;
      if (on) await this.#openScreen();
      else this.#drop("screen");
      this.emit("changed", "screen");
    });
  }

  /** Uses another device from now on, at once where the old one is in use. @throws DialroomError as `setCamera` */
  use(device: Device, deviceId: string): Promise<void> {
    return this.#inTurn(device, async () => {
      this.#chosen[device] = deviceId;
      if (!this.#tracks.has(device)) return;
      // Phones open only one camera at a time.
      if (device === "camera") this.#drop(device);
      try {
        await this.#open(device);
      } finally {
        this.emit("changed", device);
      }
    });
  }

  async refreshDevices(): Promise<Devices> {
    this.#devices = await listDevices(this.#environment.mediaDevices);
    this.emit("devices", this.#devices);
    return this.#devices;
  }

  close(): void {
    this.#closed = true;
    this.#stopListening();
    for (const source of [...this.#tracks.keys()]) this.#drop(source);
    this.#microphoneOn = false;
  }

  /** Browsers that ask for each device apart would ask twice; what fails here is tried, and told, one by one after. */
  async #askForBoth(): Promise<void> {
    const ideal = (device: Device): MediaTrackConstraints =>
      this.#chosen[device] ? { deviceId: { ideal: this.#chosen[device] } } : {};
    const stream = await this.#environment.mediaDevices
      ?.getUserMedia({
        ...constraintsFor("microphone", ideal("microphone")),
        ...constraintsFor("camera", ideal("camera")),
      })
      .catch(() => null);
    for (const track of stream?.getTracks() ?? []) {
      const device = track.kind === "audio" ? "microphone" : "camera";
      if (this.#closed || this.#tracks.has(device)) track.stop();
      else this.#keep(device, track);
    }
    if (this.#tracks.has("camera")) this.emit("changed", "camera");
    await this.refreshDevices();
  }

  async #open(device: Device): Promise<void> {
    const track = await this.#capture(device);
    if (this.#closed) return track.stop();
    this.#drop(device);
    if (device === "microphone") track.enabled = this.#microphoneOn;
    this.#keep(device, track);
    await this.refreshDevices();
  }

  async #capture(device: Device): Promise<MediaStreamTrack> {
    const mediaDevices = this.#environment.mediaDevices;
    if (!mediaDevices?.getUserMedia) throw insecureContext();
    const chosen = this.#chosen[device];
    // The chosen device may be gone since it was chosen: then any other will do.
    const tries = chosen ? [{ deviceId: { exact: chosen } }, {}] : [{}];
    let failure: unknown;
    for (const wanted of tries) {
      try {
        const stream = await mediaDevices.getUserMedia(constraintsFor(device, wanted));
        const [track] = stream.getTracks();
        if (track) return track;
      } catch (error) {
        failure = error;
        if (!(error instanceof Error) || !["OverconstrainedError", "NotFoundError"].includes(error.name))
          break;
      }
    }
    throw deviceError(failure, device);
  }

  async #openScreen(): Promise<void> {
    const mediaDevices = this.#environment.mediaDevices;
    if (!mediaDevices) throw insecureContext();
    if (!mediaDevices.getDisplayMedia) {
      throw new DialroomError({
        code: "screen_unsupported",
        reason: "environment",
        title: "This browser cannot share the screen",
        fix: "Share from a desktop browser.",
      });
    }
    try {
      const stream = await mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } }, audio: false });
      const [track] = stream.getVideoTracks();
      if (!track) throw new DOMException("no track", "NotFoundError");
      // Chosen when the room was over already.
      if (this.#closed) return track.stop();
      track.contentHint = "detail";
      this.#keep("screen", track);
    } catch (error) {
      throw deviceError(error, "screen");
    }
  }

  #keep(source: Source, track: MediaStreamTrack): void {
    this.#tracks.set(source, track);
    track.onended = () => void this.#handleEnded(source, track);
  }

  /** The screen's own "stop sharing" was used, or a device was unplugged: then the next one takes its place. */
  async #handleEnded(source: Source, track: MediaStreamTrack): Promise<void> {
    if (this.#tracks.get(source) !== track) return;
    await this.#inTurn(source, async () => {
      if (this.#tracks.get(source) !== track) return;
      this.#drop(source);
      if (source !== "screen") {
        try {
          await this.#open(source);
        } catch (error) {
          if (source === "microphone") this.#microphoneOn = false;
          this.emit("error", asDialroomError(error));
        }
      }
      this.emit("changed", source);
    });
  }

  #drop(source: Source): void {
    const track = this.#tracks.get(source);
    if (!track) return;
    this.#tracks.delete(source);
    track.onended = null;
    track.stop();
  }

  /** One change of a source at a time, in the order asked for. */
  #inTurn(source: Source, change: () => Promise<void>): Promise<void> {
    const before = this.#queues.get(source) ?? Promise.resolve();
    const after = before.catch(() => undefined).then(change);
    this.#queues.set(source, after);
    return after;
  }
}

function constraintsFor(device: Device, wanted: MediaTrackConstraints): MediaStreamConstraints {
  if (device === "microphone") {
    return { audio: { ...wanted, echoCancellation: true, noiseSuppression: true, autoGainControl: true } };
  }
  return {
    video: {
      ...(wanted.deviceId ? wanted : { facingMode: "user" }),
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30, max: 30 },
    },
  };
}
