import { browser, type Environment } from "./environment.js";
import { DialroomError, insecureContext } from "./errors.js";
import { LocalMedia } from "./local/local_media.js";
import { Room } from "./room.js";
import type { TokenSource } from "./signalling/signalling.js";

export interface JoinOptions {
  /** Where dialroom is: `https://rooms.example.com`. Default: where this page came from. */
  readonly url?: string;
  /** A join token made by the API, or what fetches one; it is fetched anew when a long interruption needs another. */
  readonly token: TokenSource;
  /** Shown to others; default: the name in the token. */
  readonly name?: string;
  /** Whether to open it before joining: true, false (default), or which one by device id. */
  readonly microphone?: boolean | string;
  readonly camera?: boolean | string;
  /** Devices that are open already, such as those of a preview. The room closes them when it ends. */
  readonly local?: LocalMedia;
  /** How many voices are received at once. Default 4. */
  readonly audioSlots?: number;
  /** How many videos are received at once. Default 12. */
  readonly videoSlots?: number;
  /** For tests. */
  readonly environment?: Environment;
}

/**
 * Puts this page into a room.
 *
 * @throws DialroomError why not: `reason` `permission`, `device` or `environment` when the microphone or camera asked
 * for cannot be opened, `token`, `room` (locked, full, ended, not open), or `network`.
 */
export async function join(options: JoinOptions): Promise<Room> {
  const environment = options.environment ?? browser;
  const local = options.local ?? new LocalMedia(environment);
  const url = options.url ?? location.origin;
  try {
    if (environment === browser && typeof RTCPeerConnection === "undefined") throw unsupported();
    if (options.microphone) await open(local, "microphone", options.microphone);
    if (options.camera) await open(local, "camera", options.camera);
    const room = new Room({
      environment,
      local,
      url: socketUrl(url),
      token: options.token,
      name: options.name,
      slots: { audio: options.audioSlots ?? 4, video: options.videoSlots ?? 12 },
    });
    await room.start();
    return room;
  } catch (error) {
    if (!options.local) local.close();
    throw maybeForeign(error, url);
  }
}

async function open(local: LocalMedia, device: "microphone" | "camera", which: true | string): Promise<void> {
  if (typeof which === "string") await local.use(device, which);
  await (device === "microphone" ? local.setMicrophone(true) : local.setCamera(true));
}

/** A browser does not tell a server that refuses this page's origin from one that is not there. */
function maybeForeign(error: unknown, url: string): unknown {
  if (!(error instanceof DialroomError) || error.code !== "connection_lost") return error;
  if (new URL(url).origin === location.origin) return error;
  const { code, reason, title, cause } = error;
  const fix = `Check the server's address, and that its allowed_origins has ${location.origin}.`;
  return new DialroomError({ code, reason, title, fix, cause });
}

/** The room socket of the server at `url`, which may lie under a path. */
export function socketUrl(url: string): string {
  const socket = new URL(url.endsWith("/") ? url : `${url}/`);
  socket.protocol = socket.protocol.replace(/^http/, "ws");
  socket.pathname += "api/socket";
  socket.search = socket.hash = "";
  return socket.href;
}

function unsupported(): DialroomError {
  if (!globalThis.isSecureContext) return insecureContext();
  return new DialroomError({
    code: "unsupported_browser",
    reason: "environment",
    title: "This browser cannot take part in video rooms",
    fix: "Use a current Firefox, Chrome, Edge or Safari, or join by phone.",
  });
}
