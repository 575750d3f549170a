/** The values a room shows to the page. All are read-only; a change brings a new value. */

export type Source = "microphone" | "camera" | "screen";
export type VideoSource = Exclude<Source, "microphone">;
export const SOURCES: readonly Source[] = ["microphone", "camera", "screen"];

/** How someone is here: in a browser, on a telephone, on a SIP device, or as a program. */
export type ParticipantKind = "web" | "phone" | "sip" | "agent";
export type ParticipantRole = "host" | "guest";

export interface Tracks {
  readonly microphone: boolean;
  readonly camera: boolean;
  readonly screen: boolean;
}

export interface Participant {
  readonly id: string;
  readonly identity: string;
  readonly name: string;
  readonly kind: ParticipantKind;
  readonly role: ParticipantRole;
  /** Muted by a moderator, or, on the phone, by `*6`. Who muted a browser's microphone has `tracks.microphone` false. */
  readonly muted: boolean;
  readonly handRaised: boolean;
  /** What is published now. */
  readonly tracks: Tracks;
  /** Masked, and only for those on a phone. */
  readonly phoneNumber: string | null;
  /** False while the connection is lost and may come back. */
  readonly connected: boolean;
  readonly joinedAt: string;
}

export interface DialInNumber {
  /** E.164. */
  readonly number: string;
  /** As people in its country write it. */
  readonly display: string;
  /** ISO 3166, two letters. */
  readonly country: string;
  readonly countryName: string;
  /** Dials the number and then the code. */
  readonly telUri: string;
}

export interface DialIn {
  readonly enabled: boolean;
  readonly code: string;
  readonly pinRequired: boolean;
  readonly numbers: readonly DialInNumber[];
}

export interface RoomInfo {
  readonly id: string;
  readonly name: string;
  readonly locked: boolean;
  readonly language: string;
  readonly joinUrl: string;
  readonly dialIn: DialIn | null;
}

/** Someone who is heard now. */
export interface Speaker {
  readonly participant: string;
  /** dBov, -127 (silence) to 0 (loudest). */
  readonly level: number;
}

/** A receiving m-line, and whose track fills it now. */
export interface Slot {
  readonly mid: string;
  readonly participant: string | null;
  readonly source: Source | null;
}

export type LeftReason = "left" | "removed" | "ended" | "lost" | "moved" | "replaced";

/**
 * Why our own time in the room is over: `left` by ourselves, `removed` by a host, `ended` for everyone, `replaced` by
 * a newer connection of the same identity, `lost` when no reconnection succeeded, `refused` when the server no longer
 * accepts us (the token has expired, the room is locked by now).
 */
export type EndReason = "left" | "removed" | "ended" | "replaced" | "lost" | "refused";
