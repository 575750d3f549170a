import type { DialInNumber, EndReason, LeftReason, Participant } from "dialroom";

/** `482913057` as `482 913 057`: groups of three, the last ones of two where they would leave a single digit. */
export function groupDigits(digits: string): string {
  const groups: string[] = [];
  let rest = digits;
  while (rest.length > 4) {
    groups.push(rest.slice(0, 3));
    rest = rest.slice(3);
  }
  if (rest.length === 4) groups.push(rest.slice(0, 2), rest.slice(2));
  else if (rest) groups.push(rest);
  return groups.join(" ");
}

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map(
    (word) => [...(word ?? "")][0] ?? "",
  );
  return letters.join("").toLocaleUpperCase();
}

/** What the server calls a SIP device without a name of its own, which needs no more to be known for one. */
const NAMELESS_SIP = "SIP device";

/** What someone is called on their tile. Where only the name stands, a device must not pass for a person. */
export function displayName({ name, phoneNumber, kind }: Participant): string {
  if (name) return isNamedSip(name, kind) ? `${name} (SIP)` : name;
  if (phoneNumber) return phoneNumber;
  return { web: "Guest", phone: "Caller", sip: NAMELESS_SIP, agent: "Agent" }[kind];
}

function isNamedSip(name: string, kind: Participant["kind"]): boolean {
  return kind === "sip" && name !== "" && name !== NAMELESS_SIP;
}

/** One of `count` colours, always the same for the same person. */
export function hueOf(identity: string, count: number): number {
  let hash = 0;
  for (const letter of identity) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
  return hash % count;
}

/** For screen readers: everything a tile shows. */
export function describe(participant: Participant, speaking: boolean, isMe: boolean): string {
  const { name, kind } = participant;
  const namedSip = isNamedSip(name, kind);
  const parts = [(namedSip ? name : displayName(participant)) + (isMe ? ", you" : "")];
  if (kind === "phone") parts.push("on the phone");
  if (kind === "agent") parts.push("an agent");
  if (namedSip) parts.push("on a SIP device");
  if (isSilent(participant)) parts.push("muted");
  if (speaking) parts.push("speaking");
  if (participant.handRaised) parts.push("hand raised");
  if (!participant.connected) parts.push("reconnecting");
  return parts.join(", ");
}

/** Muted by a host, by themselves, or without a microphone. */
export function isSilent({ muted, tracks }: Participant): boolean {
  return muted || !tracks.microphone;
}

export function leftSentence(participant: Participant, reason: LeftReason): string {
  const name = displayName(participant);
  switch (reason) {
    case "removed":
      return `${name} was removed`;
    case "lost":
      return `${name} lost the connection`;
    case "moved":
      return `${name} went to another room`;
    default:
      return `${name} left`;
  }
}

export function overWords(reason: EndReason): { title: string; detail: string; again: boolean } {
  switch (reason) {
    case "left":
      return {
        title: "You left the room",
        detail: "You can come back while the session is on.",
        again: true,
      };
    case "removed":
      return { title: "You were removed from the room", detail: "A host ended your visit.", again: false };
    case "ended":
      return { title: "The session has ended", detail: "A host ended it for everyone.", again: false };
    case "replaced":
      return {
        title: "You are in the room somewhere else",
        detail: "You joined again from another window or device, so this one was closed.",
        again: true,
      };
    case "lost":
      return { title: "The connection was lost", detail: "It could not be restored.", again: true };
    case "refused":
      return {
        title: "You are no longer in the room",
        detail: "The server let you in no more.",
        again: true,
      };
  }
}

export interface Refusal {
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly fix: string;
}

const TO_VISITORS: Readonly<Record<string, Pick<Refusal, "detail" | "fix">>> = {
  room_full: { detail: "All places are taken.", fix: "Try again when somebody has left." },
  room_ended: { detail: "Its time is over.", fix: "Ask for a link to another room." },
  too_many_connections: { detail: "", fix: "Close other windows of this room, or try again later." },
};

/** The API's errors speak to developers; a visitor of the room can do other things about some of them. */
export function toVisitors({ code, title, detail, fix }: Refusal): Refusal {
  return { code, title, detail, fix, ...TO_VISITORS[code] };
}

export interface Country {
  readonly name: string;
  readonly numbers: readonly DialInNumber[];
}

/** In the server's order, which puts the best numbers first. Those of no country are reached by SIP only. */
export function byCountry(numbers: readonly DialInNumber[]): readonly Country[] {
  const countries = new Map<string, DialInNumber[]>();
  for (const number of numbers) {
    const country = number.countryName || "Any SIP phone";
    const known = countries.get(country);
    if (known) known.push(number);
    else countries.set(country, [number]);
  }
  return [...countries].map(([name, list]) => ({ name, numbers: list }));
}
