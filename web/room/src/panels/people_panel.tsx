import { useSignal } from "@preact/signals";
import type { Participant } from "dialroom";
import { Avatar } from "../components/avatar.js";
import { Button } from "../components/button.js";
import { Confirm } from "../components/confirm.js";
import { Icon, type IconName } from "../components/icon.js";
import type { RoomView } from "../model/room_view.js";
import { displayName, isSilent } from "../model/words.js";
import { Panel } from "./panel.js";

/** Everyone, and what a host may do. */
export function PeoplePanel({ view }: { view: RoomView }) {
  const people = view.participants.value;
  const raisedFirst = [...people].sort((a, b) => Number(b.handRaised) - Number(a.handRaised));
  return (
    <Panel title={`People (${people.length})`} testId="people-panel" onClose={() => view.toggle("people")}>
      {view.isHost.value && <HostActions view={view} />}
      <ul class="people">
        {raisedFirst.map((participant) => (
          <Person key={participant.id} view={view} participant={participant} />
        ))}
      </ul>
    </Panel>
  );
}

function HostActions({ view }: { view: RoomView }) {
  const ending = useSignal(false);
  const { locked } = view.info.value;
  const act = (action: "lock" | "unlock" | "mute_all" | "end"): void =>
    void view.attempt(() => view.room.moderate(action));
  return (
    <div class="host-actions">
      <Button icon="microphoneOff" testId="mute-all-button" onClick={() => act("mute_all")}>
        Mute all
      </Button>
      <Button
        icon={locked ? "unlock" : "lock"}
        testId="lock-button"
        onClick={() => act(locked ? "unlock" : "lock")}
      >
        {locked ? "Unlock room" : "Lock room"}
      </Button>
      <Button
        icon="leave"
        tone="danger"
        testId="end-button"
        onClick={() => {
          ending.value = true;
        }}
      >
        End for all
      </Button>
      {ending.value && (
        <Confirm
          title="End the session for everyone?"
          detail="Everybody is disconnected, those on the phone too."
          action="End for all"
          testId="confirm-end"
          onConfirm={() => act("end")}
          onClose={() => {
            ending.value = false;
          }}
        />
      )}
    </div>
  );
}

function Person({ view, participant }: { view: RoomView; participant: Participant }) {
  const isMe = participant.id === view.me.value.id;
  const name = displayName(participant);
  const notes = [
    isMe && "you",
    participant.role === "host" && "host",
    participant.phoneNumber !== name && participant.phoneNumber,
    !participant.connected && "reconnecting",
  ].filter(Boolean);
  return (
    <li class="person" data-testid="person" data-participant={participant.id}>
      <Avatar participant={participant} />
      <span class="who">
        <span class="name" dir="auto">
          {name}
        </span>
        {notes.length > 0 && <span class="notes">{notes.join(" · ")}</span>}
      </span>
      <Marks view={view} participant={participant} />
      {view.isHost.value && !isMe && <PersonActions view={view} participant={participant} name={name} />}
    </li>
  );
}

function Marks({ view, participant }: { view: RoomView; participant: Participant }) {
  const silent = isSilent(participant);
  const mayLower = view.isHost.value && participant.handRaised;
  return (
    <span class="marks">
      {mayLower && (
        <Action
          icon="hand"
          label={`Lower ${displayName(participant)}'s hand`}
          testId="host-lower-hand"
          tone="raised"
          onClick={() => void view.attempt(() => view.room.moderate("lower_hand", participant.id))}
        />
      )}
      {!mayLower && participant.handRaised && (
        <span class="raised" role="img" aria-label="hand raised">
          <Icon name="hand" size={18} />
        </span>
      )}
      {!view.isHost.value && silent && (
        <span role="img" aria-label="muted">
          <Icon name="microphoneOff" size={18} />
        </span>
      )}
    </span>
  );
}

function PersonActions({
  view,
  participant,
  name,
}: {
  view: RoomView;
  participant: Participant;
  name: string;
}) {
  const removing = useSignal(false);
  const { muted } = participant;
  const silent = isSilent(participant);
  const act = (action: "mute" | "unmute" | "remove"): void =>
    void view.attempt(() => view.room.moderate(action, participant.id));
  return (
    <span class="person-actions">
      <Action
        icon={silent ? "microphoneOff" : "microphone"}
        label={muted ? `Let ${name} speak` : `Mute ${name}`}
        testId="host-mute"
        tone={muted ? "muted" : ""}
        onClick={() => act(muted ? "unmute" : "mute")}
      />
      <Action
        icon="remove"
        label={`Remove ${name}`}
        testId="host-remove"
        tone="remove"
        onClick={() => {
          removing.value = true;
        }}
      />
      {removing.value && (
        <Confirm
          title={`Remove ${name}?`}
          detail={
            participant.kind === "phone" || participant.kind === "sip"
              ? "Their call ends."
              : "They are taken out of the room."
          }
          action="Remove"
          testId="confirm-remove"
          onConfirm={() => act("remove")}
          onClose={() => {
            removing.value = false;
          }}
        />
      )}
    </span>
  );
}

interface ActionProps {
  icon: IconName;
  label: string;
  testId: string;
  tone: string;
  onClick(): void;
}

function Action({ icon, label, testId, tone, onClick }: ActionProps) {
  return (
    <button
      type="button"
      class={`action ${tone}`}
      aria-label={label}
      title={label}
      data-testid={testId}
      onClick={onClick}
    >
      <Icon name={icon} size={18} />
    </button>
  );
}
