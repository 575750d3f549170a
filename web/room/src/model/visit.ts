import { signal } from "@preact/signals";
import { DialroomError, type EndReason, join, LocalMedia, type Room } from "dialroom";
import { type Address, recall, remember, visitorOf } from "./address.js";
import { drawToken, type RoomPreview, readRoom } from "./page_api.js";
import { RoomView } from "./room_view.js";
import { Toasts } from "./toasts.js";

export type View =
  | { readonly at: "loading" }
  | { readonly at: "unavailable"; readonly error: DialroomError }
  | { readonly at: "prejoin"; readonly error: DialroomError | null }
  | { readonly at: "joining" }
  | { readonly at: "waiting" }
  | { readonly at: "room"; readonly view: RoomView }
  | { readonly at: "over"; readonly reason: EndReason; readonly error: DialroomError | null };

export type DeviceProblems = Partial<Record<"microphone" | "camera", DialroomError>>;

declare global {
  interface Window {
    /** The room we are in, for tests and the curious. */
    dialroom?: Room;
  }
}

const TRY_AGAIN = 4_000;

/**
 * One person's visit to a room's page.
 *
 *     loading ──▶ prejoin ──▶ joining ──▶ room ──▶ over ──▶ (prejoin again)
 *        └─▶ unavailable         └─▶ waiting (not open yet) ──▶ joining
 */
export class Visit {
  readonly address: Address;
  readonly view = signal<View>({ at: "loading" });
  readonly preview = signal<RoomPreview | null>(null);
  readonly name = signal(recall(localStorage, "dialroom.name"));
  readonly local = signal(new LocalMedia());
  readonly problems = signal<DeviceProblems>({});
  readonly toasts = new Toasts();
  /** Whether single keys, such as M for mute, do something. */
  readonly singleKeys = signal(recall(localStorage, "dialroom.single-keys") !== "no");
  #entering = false;
  #speaker = recall(localStorage, "dialroom.speaker");

  constructor(address: Address) {
    this.address = address;
  }

  async load(): Promise<void> {
    this.view.value = { at: "loading" };
    try {
      this.preview.value = await readRoom(this.address.slug);
      this.view.value = { at: "prejoin", error: null };
      await this.openDevices();
    } catch (error) {
      this.view.value = { at: "unavailable", error: expected(error) };
    }
  }

  /** Opens what was on the last time; a first visit opens both. */
  async openDevices(): Promise<void> {
    const local = this.local.value;
    for (const device of ["microphone", "camera"] as const) {
      const chosen = recall(localStorage, `dialroom.${device}`);
      if (chosen) await local.use(device, chosen);
    }
    this.problems.value = await local.start({
      microphone: recall(localStorage, "dialroom.microphone.on") !== "no",
      camera: recall(localStorage, "dialroom.camera.on") !== "no",
    });
  }

  /** At the door; a failure is among the `problems`. */
  setDevice(device: "microphone" | "camera", on: boolean): Promise<void> {
    const local = this.local.value;
    remember(localStorage, `dialroom.${device}.on`, on ? "yes" : "no");
    return this.#attempt(device, () =>
      device === "microphone" ? local.setMicrophone(on) : local.setCamera(on),
    );
  }

  /** At the door; a failure is among the `problems`. */
  tryDevice(device: "microphone" | "camera", deviceId: string): Promise<void> {
    return this.#attempt(device, () => this.useDevice(device, deviceId));
  }

  async #attempt(device: "microphone" | "camera", action: () => Promise<void>): Promise<void> {
    const { [device]: _, ...others } = this.problems.value;
    this.problems.value = others;
    try {
      await action();
    } catch (error) {
      this.problems.value = { ...others, [device]: expected(error) };
    }
  }

  async useDevice(device: "microphone" | "camera", deviceId: string): Promise<void> {
    remember(localStorage, `dialroom.${device}`, deviceId);
    await this.local.value.use(device, deviceId);
  }

  async useSpeaker(room: Room, deviceId: string): Promise<void> {
    this.#speaker = deviceId;
    remember(localStorage, "dialroom.speaker", deviceId);
    await room.useSpeaker(deviceId);
  }

  setSingleKeys(on: boolean): void {
    remember(localStorage, "dialroom.single-keys", on ? "yes" : "no");
    this.singleKeys.value = on;
  }

  get speaker(): string {
    return this.#speaker;
  }

  async join(): Promise<void> {
    remember(localStorage, "dialroom.name", this.name.value);
    this.view.value = { at: "joining" };
    // A try that was called off may still be under way: then that one serves.
    if (!this.#entering) await this.#enter();
  }

  /** Back to the door after a visit. */
  async again(): Promise<void> {
    this.local.value = new LocalMedia();
    await this.load();
  }

  cancelWaiting(): void {
    this.view.value = { at: "prejoin", error: null };
  }

  #token(): Promise<string> {
    const { slug, hostKey } = this.address;
    return drawToken(slug, { name: this.name.value, visitor: visitorOf(slug), hostKey });
  }

  async #enter(): Promise<void> {
    this.#entering = true;
    try {
      const room = await join({ token: () => this.#token(), name: this.name.value, local: this.local.value });
      if (this.view.value.at === "prejoin") {
        await room.leave();
        return this.again();
      }
      this.#show(room);
    } catch (caught) {
      const error = expected(caught);
      if (this.view.value.at === "prejoin") return;
      if (error.code === "room_not_open") return this.#wait();
      this.view.value = { at: "prejoin", error };
    } finally {
      this.#entering = false;
    }
  }

  #show(room: Room): void {
    const view = new RoomView(room, this.toasts);
    window.dialroom = room;
    if (this.#speaker) void room.useSpeaker(this.#speaker).catch(() => undefined);
    const leaveWithPage = (event: PageTransitionEvent): void => {
      if (!event.persisted) void room.leave();
    };
    window.addEventListener("pagehide", leaveWithPage);
    room.on("ended", ({ reason, error }) => {
      window.removeEventListener("pagehide", leaveWithPage);
      view.close();
      this.toasts.clear();
      this.view.value = { at: "over", reason, error };
    });
    this.view.value = { at: "room", view };
  }

  /** The session starts when the host comes, or at its time: tries again until it has. */
  #wait(): void {
    this.view.value = { at: "waiting" };
    setTimeout(() => {
      if (this.view.value.at === "waiting") void this.#enter();
    }, TRY_AGAIN);
  }
}

function expected(error: unknown): DialroomError {
  if (error instanceof DialroomError) return error;
  throw error;
}
