import { useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Button } from "../components/button.js";
import { Controls, canShareScreen } from "../components/controls.js";
import { Header } from "../components/header.js";
import { Stage } from "../components/stage.js";
import type { RoomView } from "../model/room_view.js";
import type { Visit } from "../model/visit.js";
import { keepAwake } from "../model/wake_lock.js";
import { PeoplePanel } from "../panels/people_panel.js";
import { PhonePanel } from "../panels/phone_panel.js";
import { SettingsPanel } from "../panels/settings_panel.js";

export function RoomScreen({ visit, view }: { visit: Visit; view: RoomView }) {
  useShortcuts(view);
  useEffect(keepAwake, []);
  useSignalEffect(() => {
    document.title = `${view.info.value.name} · dialroom`;
  });
  const panel = view.panel.value;
  const { dialIn, name } = view.info.value;
  return (
    <div class={`room ${panel ? "with-panel" : ""}`} data-testid="room">
      <Header view={view} />
      {view.reconnecting.value && (
        <div class="banner" role="alert" data-testid="reconnecting">
          <span class="spinner" aria-hidden="true" /> Reconnecting…
        </div>
      )}
      {view.audioBlocked.value && (
        <div class="banner sound" role="alert">
          The browser keeps the sound back.
          <Button icon="sound" tone="primary" onClick={() => void view.room.startAudio()}>
            Turn on sound
          </Button>
        </div>
      )}
      <div class="middle">
        <Stage view={view} />
        {panel === "people" && <PeoplePanel view={view} />}
        {panel === "phone" && dialIn && (
          <PhonePanel dialIn={dialIn} roomName={name} onClose={() => view.toggle("phone")} />
        )}
        {panel === "settings" && <SettingsPanel view={view} visit={visit} />}
      </div>
      <Controls view={view} />
    </div>
  );
}

/** Single keys, where nothing is being typed. */
function useShortcuts(view: RoomView): void {
  useEffect(() => {
    const handle = (event: KeyboardEvent): void => {
      if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const action = {
        m: () => view.toggleMicrophone(),
        v: () => view.toggleCamera(),
        s: () => (canShareScreen() ? view.toggleScreen() : undefined),
        h: () => view.toggleHand(),
      }[event.key.toLowerCase()];
      if (!action) return;
      event.preventDefault();
      void action();
    };
    window.addEventListener("keydown", handle);
    return () => window.removeEventListener("keydown", handle);
  }, [view]);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName))
  );
}
