/** Whose move it is when something fails; `code` says exactly what happened. */
export type ErrorReason =
  /** The person or the system forbade the microphone, camera or screen. */
  | "permission"
  /** A device is missing, busy or was unplugged. */
  | "device"
  /** The page cannot do this here: not HTTPS, or a browser without WebRTC. */
  | "environment"
  /** The join token is wrong or has expired. */
  | "token"
  /** The room does not let us in now: locked, full, ended, not open. */
  | "room"
  /** We may not do this; most likely it is for hosts. */
  | "forbidden"
  /** The connection is lost or too slow. */
  | "network"
  /** The server failed, or said something we do not understand. */
  | "server"
  /** The SDK was called in a way that cannot work. */
  | "usage";

export interface ErrorFields {
  /** Stable, for programs: `room_locked`, `permission_denied`, … */
  code: string;
  reason: ErrorReason;
  /** What happened, for people. */
  title: string;
  detail?: string;
  /** What to do about it. */
  fix?: string;
  cause?: unknown;
}

/** The one error the SDK throws. */
export class DialroomError extends Error {
  override readonly name = "DialroomError";
  readonly code: string;
  readonly reason: ErrorReason;
  readonly title: string;
  readonly detail: string;
  readonly fix: string;

  constructor({ code, reason, title, detail = "", fix = "", cause }: ErrorFields) {
    super(detail ? `${title}: ${detail}` : title, { cause });
    this.code = code;
    this.reason = reason;
    this.title = title;
    this.detail = detail;
    this.fix = fix;
  }

  /** The error a server names, in a refused request or as problem+json, whatever shape `body` really has. */
  static fromProblem(body: unknown, status?: number): DialroomError {
    const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
    const text = (key: string): string => (typeof fields[key] === "string" ? (fields[key] as string) : "");
    const code = text("code") || (status === 404 ? "not_found" : "server_error");
    return new DialroomError({
      code,
      reason: reasonOf(code),
      title: text("title") || "The server refused",
      detail: text("detail"),
      fix: text("fix"),
    });
  }

  static connectionLost(cause?: unknown): DialroomError {
    return new DialroomError({
      code: "connection_lost",
      reason: "network",
      title: "The server cannot be reached",
      fix: "Check the network connection.",
      cause,
    });
  }
}

function reasonOf(code: string): ErrorReason {
  if (code.startsWith("token")) return "token";
  if (code.startsWith("room_") || code === "removed_from_session") return "room";
  if (code === "forbidden" || code === "unauthenticated") return "forbidden";
  return "server";
}

export function requestTimedOut(type: string): DialroomError {
  return new DialroomError({
    code: "request_timed_out",
    reason: "network",
    title: "The server did not answer in time",
    detail: type,
    fix: "Try again; the network may be slow.",
  });
}

/** What a browser's `getUserMedia` or `getDisplayMedia` refusal means. */
export function deviceError(cause: unknown, what: "microphone" | "camera" | "screen"): DialroomError {
  const name = cause instanceof Error || cause instanceof DOMException ? cause.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    return new DialroomError({
      code: what === "screen" ? "screen_cancelled" : "permission_denied",
      reason: "permission",
      title: what === "screen" ? "Nothing was shared" : `The browser may not use the ${what}`,
      fix:
        what === "screen"
          ? "Choose a screen, window or tab, and allow the browser to record it."
          : `Allow the ${what} for this page in the address bar, and in the system's privacy settings.`,
      cause,
    });
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    if (what === "screen") return noScreen(cause);
    return new DialroomError({
      code: "no_device",
      reason: "device",
      title: `No ${what} was found`,
      fix: `Plug in a ${what}, or join without one.`,
      cause,
    });
  }
  return new DialroomError({
    code: "device_busy",
    reason: "device",
    title: `The ${what} could not be started`,
    detail: cause instanceof Error ? cause.message : "",
    fix: "Close other programs that use it, then try again.",
    cause,
  });
}

function noScreen(cause: unknown): DialroomError {
  return new DialroomError({
    code: "no_device",
    reason: "device",
    title: "The browser found nothing to share",
    fix: "Share from a browser on a desktop, and let the system's privacy settings allow it.",
    cause,
  });
}

/** The page cannot use devices at all. */
export function insecureContext(): DialroomError {
  return new DialroomError({
    code: "insecure_context",
    reason: "environment",
    title: "The browser allows no microphone or camera on this page",
    detail: "The page was not opened over HTTPS.",
    fix: "Open the room by its https:// address, or on localhost.",
  });
}

export function asDialroomError(error: unknown): DialroomError {
  if (error instanceof DialroomError) return error;
  return new DialroomError({
    code: "unexpected",
    reason: "server",
    title: "Something went wrong",
    detail: error instanceof Error ? error.message : String(error),
    cause: error,
  });
}
