import type { Participant } from "dialroom";
import type { RoomView } from "../model/room_view.js";
import { describe, displayName, isSilent } from "../model/words.js";
import { Avatar } from "./avatar.js";
import { Icon } from "./icon.js";
import { Video } from "./video.js";

const KIND_WORDS = { phone: "On the phone", sip: "SIP device", agent: "Agent" } as const;

/** One participant: their camera, or their avatar, with name and state. */
export function Tile({ view, participant }: { view: RoomView; participant: Participant }) {
  const { room } = view;
  const isMe = participant.id === view.me.value.id;
  const camera = isMe ? view.local.value.camera : participant.tracks.camera;
  const silent = isMe ? !view.local.value.microphone : isSilent(participant);
  const speaking = view.speaking.value.has(participant.id) && !silent;
  const { kind, connected, handRaised } = participant;
  return (
    <li
      class={`tile ${kind} ${speaking ? "speaking" : ""} ${connected ? "" : "away"}`}
      data-testid="tile"
      data-participant={participant.id}
      data-kind={kind}
      data-speaking={speaking}
      aria-label={describe(participant, speaking, isMe)}
    >
      <div class="face">
        <Avatar participant={participant} />
        {kind !== "web" && <span class="kind">{KIND_WORDS[kind]}</span>}
      </div>
      {camera && <Video room={room} participant={participant.id} source="camera" mirrored={isMe} />}
      {!connected && <p class="veil">Reconnecting…</p>}
      {handRaised && (
        <span class="hand" title="Hand raised">
          <Icon name="hand" size={18} />
        </span>
      )}
      <div class="plate" aria-hidden="true">
        {silent ? <Icon name="microphoneOff" size={15} /> : <SoundBars />}
        <span class="name" dir="auto" data-testid="tile-name">
          {displayName(participant)}
        </span>
        {isMe && <span class="you">you</span>}
      </div>
    </li>
  );
}

/** A shared screen. */
export function ScreenTile({ view, participant }: { view: RoomView; participant: Participant }) {
  const isMe = participant.id === view.me.value.id;
  const words = isMe ? "You share your screen" : `${displayName(participant)} shares a screen`;
  return (
    <figure
      class="tile shared"
      data-testid="screen-tile"
      data-participant={participant.id}
      aria-label={words}
    >
      <Video room={view.room} participant={participant.id} source="screen" />
      <figcaption class="plate">
        <Icon name="screen" size={15} />
        <span class="name" dir="auto">
          {words}
        </span>
      </figcaption>
    </figure>
  );
}

function SoundBars() {
  return (
    <span class="bars">
      <i />
      <i />
      <i />
    </span>
  );
}
