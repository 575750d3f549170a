import { useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Button } from "../components/button.js";
import { Controls, canShareScreen } from "../components/controls.js";
import { Header } from "../components/header.js";
import { Stage } from "../components/stage.js";
import type { RoomView } from "../model/room_view.js";
import { shortcutOf } from "../model/shortcuts.js";
import type { Visit } from "../model/visit.js";
import { keepAwake } from "../model/wake_lock.js";
import { PeoplePanel } from "../panels/people_panel.js";
import { PhonePanel } from "../panels/phone_panel.js";
import { SettingsPanel } from "../panels/settings_panel.js";

export function RoomScreen({ visit, view }: { visit: Visit; view: RoomView }) {
  useShortcuts(view, visit);
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

/** They can be switched off: who speaks to the computer would press them with every word (WCAG 2.1.4). */
function useShortcuts(view: RoomView, visit: Visit): void {
  useEffect(() => {
    const handle = (event: KeyboardEvent): void => {
      const shortcut = visit.singleKeys.value && shortcutOf(event);
      if (!shortcut) return;
      event.preventDefault();
      const actions = {
        m: () => view.toggleMicrophone(),
        v: () => view.toggleCamera(),
        s: () => (canShareScreen() ? view.toggleScreen() : undefined),
        h: () => view.toggleHand(),
      };
      void actions[shortcut]();
    };
    window.addEventListener("keydown", handle);
    return () => window.removeEventListener("keydown", handle);
  }, [view, visit]);
}
