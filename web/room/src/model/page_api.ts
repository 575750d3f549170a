import { type DialIn, DialroomError, parseRoom } from "dialroom";

/** What the page may know of a room before joining it. */
export interface RoomPreview {
  readonly name: string;
  readonly locked: boolean;
  readonly dialIn: DialIn | null;
}

/** @throws DialroomError `not_found` and others with the server's code, or `connection_lost` */
export async function readRoom(slug: string): Promise<RoomPreview> {
  const { room } = await call(`/api/pages/${encodeURIComponent(slug)}`);
  const { name, locked, dialIn } = parseRoom(room);
  return { name, locked, dialIn };
}

export interface Visitor {
  readonly name: string;
  /** Whoever comes back with the same one takes the place of their earlier connection. */
  readonly visitor: string;
  readonly hostKey: string;
}

/** @throws DialroomError with the server's code, or `connection_lost` */
export async function drawToken(slug: string, { name, visitor, hostKey }: Visitor): Promise<string> {
  const { token } = await call(`/api/pages/${encodeURIComponent(slug)}/token`, {
    name,
    visitor,
    ...(hostKey ? { host_key: hostKey } : {}),
  });
  return String(token);
}

async function call(path: string, body?: object): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: { accept: "application/json", ...(body ? { "content-type": "application/json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  }).catch((cause: unknown) => {
    throw DialroomError.connectionLost(cause);
  });
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw DialroomError.fromProblem(answer, response.status);
  return typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>) : {};
}
