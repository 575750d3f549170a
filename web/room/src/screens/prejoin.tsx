import { useSignal, useSignalEffect } from "@preact/signals";
import type { DialroomError } from "dialroom";
import { useEffect, useRef } from "preact/hooks";
import { Button, Control } from "../components/button.js";
import { DeviceSelect } from "../components/device_select.js";
import { Icon } from "../components/icon.js";
import { LevelMeter } from "../components/level_meter.js";
import { Mark } from "../components/mark.js";
import type { Visit } from "../model/visit.js";
import { initials, type Refusal, toVisitors } from "../model/words.js";
import { PhonePanel } from "../panels/phone_panel.js";

/** The door: how we look and sound, and our name. */
export function Prejoin({
  visit,
  error,
  busy,
}: {
  visit: Visit;
  error: DialroomError | null;
  busy: boolean;
}) {
  const preview = visit.preview.value;
  const byPhone = useSignal(false);
  useSignalEffect(() => {
    if (visit.preview.value) document.title = `${visit.preview.value.name} · dialroom`;
  });
  return (
    <main class="prejoin">
      <header>
        <Mark />
        <span>dialroom</span>
      </header>
      <Preview visit={visit} />
      <section class="door">
        <p class="eyebrow">{preview?.locked ? "This room is locked" : "You are about to join"}</p>
        <h1>{preview?.name}</h1>
        {error && <Problem error={toVisitors(error)} />}
        <NameForm visit={visit} busy={busy} />
        {preview?.dialIn?.enabled && (
          <p class="or">
            No microphone here?{" "}
            <button
              type="button"
              class="link"
              data-testid="phone-panel-button"
              onClick={() => (byPhone.value = true)}
            >
              Join by phone
            </button>
          </p>
        )}
      </section>
      {byPhone.value && preview?.dialIn && (
        <PhonePanel dialIn={preview.dialIn} roomName={preview.name} onClose={() => (byPhone.value = false)} />
      )}
    </main>
  );
}

function NameForm({ visit, busy }: { visit: Visit; busy: boolean }) {
  const submit = (event: Event): void => {
    event.preventDefault();
    visit.name.value = visit.name.value.trim();
    if (visit.name.value) void visit.join();
  };
  return (
    <form onSubmit={submit}>
      <div class="field">
        <label for="name">Your name</label>
        <input
          id="name"
          data-testid="name-input"
          required
          maxLength={80}
          autocomplete="name"
          placeholder="How others see you"
          value={visit.name.value}
          onInput={({ currentTarget }) => {
            visit.name.value = currentTarget.value;
          }}
        />
      </div>
      <Button type="submit" tone="primary" testId="join-button" disabled={busy}>
        {busy ? "Joining…" : "Join the room"}
      </Button>
    </form>
  );
}

function Preview({ visit }: { visit: Visit }) {
  const local = visit.local.value;
  const state = useSignal(local.state);
  const devices = useSignal(local.devices);
  const tracks = useSignal({ camera: local.track("camera"), microphone: local.track("microphone") });
  useEffect(() => {
    const refresh = (): void => {
      state.value = local.state;
      devices.value = local.devices;
      tracks.value = { camera: local.track("camera"), microphone: local.track("microphone") };
    };
    refresh();
    const stops = [local.on("changed", refresh), local.on("devices", refresh)];
    return () => {
      for (const stop of stops) stop();
    };
  }, [local]);
  const { microphone, camera } = state.value;
  return (
    <section class="preview" aria-label="Your camera and microphone">
      <div class="mirror">
        <span class="avatar hue-0" aria-hidden="true">
          {initials(visit.name.value) || "?"}
        </span>
        <SelfView track={tracks.value.camera} />
        <div class="toggles">
          <Control
            icon={microphone ? "microphone" : "microphoneOff"}
            label={microphone ? "Mute" : "Unmute"}
            testId="prejoin-mute-button"
            tone={microphone ? "plain" : "off"}
            onClick={() => void visit.setDevice("microphone", !microphone)}
          />
          <Control
            icon={camera ? "camera" : "cameraOff"}
            label={camera ? "Stop camera" : "Start camera"}
            testId="prejoin-camera-button"
            tone={camera ? "plain" : "off"}
            onClick={() => void visit.setDevice("camera", !camera)}
          />
        </div>
      </div>
      <LevelMeter track={microphone ? tracks.value.microphone : null} />
      <DeviceProblems visit={visit} />
      <div class="devices">
        <DeviceSelect
          label="Microphone"
          devices={devices.value.microphones}
          chosen={local.deviceOf("microphone")}
          onChoose={(id) => void visit.tryDevice("microphone", id)}
        />
        <DeviceSelect
          label="Camera"
          devices={devices.value.cameras}
          chosen={local.deviceOf("camera")}
          onChoose={(id) => void visit.tryDevice("camera", id)}
        />
      </div>
    </section>
  );
}

function SelfView({ track }: { track: MediaStreamTrack | null }) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (element.current) element.current.srcObject = track && new MediaStream([track]);
  }, [track]);
  return <video ref={element} class={`video mirrored ${track ? "live" : ""}`} muted autoplay playsInline />;
}

/** One explanation where both failed for the same cause. */
function DeviceProblems({ visit }: { visit: Visit }) {
  const { microphone, camera } = visit.problems.value;
  if (microphone && camera && microphone.code === camera.code)
    return <Problem error={microphone} also="camera" />;
  return (
    <>
      {microphone && <Problem error={microphone} />}
      {camera && <Problem error={camera} />}
    </>
  );
}

export function Problem({ error, also }: { error: Refusal; also?: string }) {
  const both = (text: string): string =>
    also ? text.replaceAll(/microphone(?! or )/g, `microphone or ${also}`) : text;
  return (
    <div class="problem" role="alert" data-testid="problem" data-code={error.code}>
      <Icon name="warning" size={20} />
      <div>
        <strong>{both(error.title)}</strong>
        {error.detail && <p>{error.detail}</p>}
        {error.fix && <p>{both(error.fix)}</p>}
      </div>
    </div>
  );
}
