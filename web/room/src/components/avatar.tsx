import type { Participant } from "dialroom";
import { displayName, hueOf, initials } from "../model/words.js";
import { Icon } from "./icon.js";

const HUES = 6;

/** Initials in a colour of their own; a telephone for those on one. */
export function Avatar({ participant }: { participant: Participant }) {
  const { kind, identity, id } = participant;
  if (kind !== "web") {
    return (
      <span class={`avatar ${kind}`} aria-hidden="true">
        <Icon name={kind} size={24} />
      </span>
    );
  }
  return (
    <span class={`avatar hue-${hueOf(identity || id, HUES)}`} aria-hidden="true">
      {initials(displayName(participant))}
    </span>
  );
}
