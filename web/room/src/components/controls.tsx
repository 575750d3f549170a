import type { RoomView } from "../model/room_view.js";
import { Control } from "./button.js";

/** What we do ourselves: speak, show, raise a hand, leave. */
export function Controls({ view }: { view: RoomView }) {
  const { microphone, camera, screen } = view.local.value;
  const { handRaised } = view.me.value;
  return (
    <section class="controls" aria-label="Your controls">
      <Control
        icon={microphone ? "microphone" : "microphoneOff"}
        label={microphone ? "Mute" : "Unmute"}
        testId="mute-button"
        tone={microphone ? "plain" : "off"}
        shortcut="M"
        onClick={() => void view.toggleMicrophone()}
      />
      <Control
        icon={camera ? "camera" : "cameraOff"}
        label={camera ? "Stop camera" : "Start camera"}
        testId="camera-button"
        tone={camera ? "plain" : "off"}
        shortcut="V"
        onClick={() => void view.toggleCamera()}
      />
      {canShareScreen() && (
        <Control
          icon="screen"
          label={screen ? "Stop sharing" : "Share screen"}
          testId="screen-button"
          tone={screen ? "active" : "plain"}
          shortcut="S"
          onClick={() => void view.toggleScreen()}
        />
      )}
      <Control
        icon="hand"
        label={handRaised ? "Lower hand" : "Raise hand"}
        testId="hand-button"
        tone={handRaised ? "active" : "plain"}
        shortcut="H"
        onClick={() => void view.toggleHand()}
      />
      <Control
        icon="leave"
        label="Leave"
        testId="leave-button"
        tone="danger"
        onClick={() => void view.room.leave()}
      />
    </section>
  );
}

/** Browsers on phones cannot. */
export function canShareScreen(): boolean {
  return "getDisplayMedia" in (navigator.mediaDevices ?? {});
}
