/**
 * What crosses the room socket (docs/reference/room-socket.md), and its translation into the SDK's values. Nothing
 * here throws on what a server sent: a value that is not there gets its harmless default, a message without sense is
 * `null`.
 */
import type {
  DialIn,
  DialInNumber,
  LeftReason,
  Participant,
  ParticipantKind,
  RoomInfo,
  Slot,
  Source,
  Speaker,
} from "./values.js";
import { SOURCES } from "./values.js";

type Fields = Readonly<Record<string, unknown>>;

export interface Joined {
  readonly participant: Participant;
  readonly session: string;
  readonly room: RoomInfo;
  readonly participants: readonly Participant[];
  readonly resumeToken: string;
  readonly iceServers: readonly RTCIceServer[];
  readonly resumed: boolean;
}

export type ServerEvent =
  | { readonly type: "participant.joined" | "participant.updated"; readonly participant: Participant }
  | { readonly type: "participant.left"; readonly participant: string; readonly reason: LeftReason }
  | { readonly type: "speakers"; readonly speakers: readonly Speaker[] }
  | { readonly type: "slots"; readonly slots: readonly Slot[] }
  | { readonly type: "room.updated"; readonly room: RoomInfo }
  | { readonly type: "moved"; readonly room: RoomInfo; readonly token: string }
  | { readonly type: "ended"; readonly reason: "removed" | "ended" | "replaced" | "moved" }
  | { readonly type: "media.lost" };

export type ServerMessage =
  | { readonly type: "ok"; readonly id: number; readonly fields: Fields }
  | { readonly type: "error"; readonly id: number; readonly error: unknown }
  | { readonly type: "event"; readonly event: ServerEvent };

/** `null` for what is not a message we know; a newer server may say more than we understand. */
export function parseMessage(data: unknown): ServerMessage | null {
  if (typeof data !== "string") return null;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  const fields = fieldsOf(value);
  if (typeof fields.id === "number") {
    if (fields.type === "ok") return { type: "ok", id: fields.id, fields };
    if (fields.type === "error") return { type: "error", id: fields.id, error: fields.error };
  }
  const event = parseEvent(fields);
  return event && { type: "event", event };
}

function parseEvent(fields: Fields): ServerEvent | null {
  switch (fields.type) {
    case "participant.joined":
    case "participant.updated": {
      const participant = participantFrom(fields.participant);
      return participant.id ? { type: fields.type, participant } : null;
    }
    case "participant.left":
      return {
        type: fields.type,
        participant: text(fields.participant),
        reason: oneOf(fields.reason, ["left", "removed", "ended", "lost", "moved", "replaced"], "left"),
      };
    case "speakers":
      return { type: fields.type, speakers: list(fields.speakers).map(speakerFrom) };
    case "slots":
      return { type: fields.type, slots: list(fields.slots).map(slotFrom) };
    case "room.updated":
      return { type: fields.type, room: roomFrom(fields.room) };
    case "moved":
      return { type: fields.type, room: roomFrom(fields.room), token: text(fields.token) };
    case "ended":
      return {
        type: fields.type,
        reason: oneOf(fields.reason, ["removed", "ended", "replaced", "moved"], "ended"),
      };
    case "media.lost":
      return { type: fields.type };
    default:
      return null;
  }
}

export function joinedFrom(fields: Fields): Joined {
  return {
    participant: participantFrom(fields.participant),
    session: text(fieldsOf(fields.session).id) || text(fields.session),
    room: roomFrom(fields.room),
    participants: list(fields.participants).map(participantFrom),
    resumeToken: text(fields.resume_token),
    iceServers: list(fields.ice_servers).filter((server) => "urls" in fieldsOf(server)) as RTCIceServer[],
    resumed: fields.resumed === true,
  };
}

export function participantFrom(value: unknown): Participant {
  const fields = fieldsOf(value);
  const tracks = fieldsOf(fields.tracks);
  return {
    id: text(fields.id),
    identity: text(fields.identity),
    name: text(fields.name),
    kind: oneOf<ParticipantKind>(fields.kind, ["web", "phone", "sip", "agent"], "web"),
    role: oneOf(fields.role, ["host", "guest"], "guest"),
    muted: fields.muted === true,
    handRaised: fields.hand_raised === true,
    tracks: {
      microphone: tracks.microphone === true,
      camera: tracks.camera === true,
      screen: tracks.screen === true,
    },
    phoneNumber: textOrNull(fields.phone_number),
    connected: fields.connected !== false,
    joinedAt: text(fields.joined_at),
  };
}

export function roomFrom(value: unknown): RoomInfo {
  const fields = fieldsOf(value);
  return {
    id: text(fields.id),
    name: text(fields.name),
    locked: fields.locked === true,
    language: text(fields.language) || "en",
    joinUrl: text(fields.join_url),
    dialIn: dialInFrom(fields.dial_in),
  };
}

function dialInFrom(value: unknown): DialIn | null {
  if (typeof value !== "object" || value === null) return null;
  const fields = fieldsOf(value);
  return {
    enabled: fields.enabled !== false,
    code: text(fields.code),
    pinRequired: fields.pin_required === true,
    numbers: list(fields.numbers).map(numberFrom),
  };
}

function numberFrom(value: unknown): DialInNumber {
  const fields = fieldsOf(value);
  const number = text(fields.number);
  return {
    number,
    display: text(fields.display) || number,
    country: text(fields.country),
    countryName: text(fields.country_name) || text(fields.country),
    telUri: text(fields.tel_uri),
  };
}

function speakerFrom(value: unknown): Speaker {
  const fields = fieldsOf(value);
  return {
    participant: text(fields.participant),
    level: typeof fields.level === "number" ? fields.level : -127,
  };
}

function slotFrom(value: unknown): Slot {
  const fields = fieldsOf(value);
  const source = SOURCES.find((known) => known === fields.source) ?? null;
  return { mid: text(fields.mid), participant: textOrNull(fields.participant), source };
}

/** What we tell the server we send, with the m-line each of it is on. */
export interface OfferFields {
  readonly sdp: string;
  readonly publish: readonly { readonly mid: string; readonly source: Source }[];
  readonly audio_slots: readonly string[];
  readonly video_slots: readonly string[];
  readonly restart: boolean;
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function oneOf<Value extends string>(value: unknown, known: readonly Value[], otherwise: Value): Value {
  return known.find((item) => item === value) ?? otherwise;
}
