import { useEffect, useRef } from "preact/hooks";
import type { RoomView } from "../model/room_view.js";
import { Control } from "./button.js";
import { Icon } from "./icon.js";
import { Mark } from "./mark.js";

const QUALITY_WORDS = {
  good: "Good connection",
  fair: "Fair connection",
  poor: "Poor connection",
  lost: "No connection",
} as const;

/** The room's name and state, and the buttons of the panels. */
export function Header({ view }: { view: RoomView }) {
  const { name, locked, dialIn } = view.info.value;
  const panel = view.panel.value;
  const heading = useRef<HTMLHeadingElement>(null);
  // The button that was pressed to come in is gone: screen readers go on from here.
  useEffect(() => heading.current?.focus(), []);
  const people = view.participants.value;
  const hands = people.filter(({ handRaised }) => handRaised).length;
  const quality = view.quality.value;
  return (
    <header class="header">
      <Mark />
      <h1 ref={heading} tabIndex={-1} dir="auto">
        {name}
      </h1>
      {locked && (
        <span class="locked" title="Nobody else can join">
          <Icon name="lock" size={15} /> Locked
        </span>
      )}
      <span
        class={`quality ${quality}`}
        role="img"
        aria-label={QUALITY_WORDS[quality]}
        title={QUALITY_WORDS[quality]}
      >
        <i />
        <i />
        <i />
      </span>
      <nav class="panels" aria-label="Panels">
        {dialIn?.enabled && (
          <Control
            icon="phone"
            label="Join by phone"
            testId="phone-panel-button"
            expanded={panel === "phone"}
            tone={panel === "phone" ? "active" : "plain"}
            onClick={() => view.toggle("phone")}
          />
        )}
        <Control
          icon="people"
          label={`People, ${people.length}${hands ? `, ${hands} with a raised hand` : ""}`}
          testId="people-button"
          badge={String(people.length)}
          expanded={panel === "people"}
          tone={panel === "people" ? "active" : "plain"}
          onClick={() => view.toggle("people")}
        />
        <Control
          icon="settings"
          label="Settings"
          testId="settings-button"
          expanded={panel === "settings"}
          tone={panel === "settings" ? "active" : "plain"}
          onClick={() => view.toggle("settings")}
        />
      </nav>
    </header>
  );
}
