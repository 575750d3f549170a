import { useSignal } from "@preact/signals";
import { Button } from "../components/button.js";
import { DeviceSelect } from "../components/device_select.js";
import type { RoomView } from "../model/room_view.js";
import type { Visit } from "../model/visit.js";
import { Panel } from "./panel.js";

const SHORTCUTS = [
  ["M", "mute, unmute"],
  ["V", "camera on, off"],
  ["S", "share the screen"],
  ["H", "raise or lower a hand"],
  ["Esc", "close this panel"],
] as const;

/** Devices and our own name. */
export function SettingsPanel({ view, visit }: { view: RoomView; visit: Visit }) {
  const name = useSignal(view.me.value.name);
  const speaker = useSignal(visit.speaker);
  const { microphones, cameras, speakers } = view.devices.value;
  const { local } = view.room;
  // Read so that a change of the track shows the new device.
  void view.local.value;
  const rename = (event: Event): void => {
    event.preventDefault();
    if (name.value.trim()) void view.attempt(() => view.room.rename(name.value.trim()));
  };
  return (
    <Panel title="Settings" testId="settings-panel" onClose={() => view.toggle("settings")}>
      <DeviceSelect
        label="Microphone"
        devices={microphones}
        chosen={local.deviceOf("microphone")}
        onChoose={(id) => void view.attempt(() => visit.useDevice("microphone", id))}
      />
      <DeviceSelect
        label="Camera"
        devices={cameras}
        chosen={local.deviceOf("camera")}
        onChoose={(id) => void view.attempt(() => visit.useDevice("camera", id))}
      />
      {"setSinkId" in HTMLMediaElement.prototype && (
        <DeviceSelect
          label="Speaker"
          devices={speakers}
          chosen={speaker.value}
          onChoose={(id) => {
            speaker.value = id;
            void view.attempt(() => visit.useSpeaker(view.room, id));
          }}
        />
      )}
      <form class="field with-button" onSubmit={rename}>
        <label for="rename">Your name</label>
        <input
          id="rename"
          maxLength={80}
          autocomplete="name"
          value={name.value}
          onInput={({ currentTarget }) => {
            name.value = currentTarget.value;
          }}
        />
        <Button type="submit">Rename</Button>
      </form>
      <h3>Keys</h3>
      <label class="check">
        <input
          type="checkbox"
          data-testid="single-keys"
          checked={visit.singleKeys.value}
          onChange={({ currentTarget }) => visit.setSingleKeys(currentTarget.checked)}
        />
        Single keys
      </label>
      <dl class="keys">
        {SHORTCUTS.map(([key, what]) => (
          <>
            <dt key={key}>{key}</dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
    </Panel>
  );
}
