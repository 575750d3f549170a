import { useSignal } from "@preact/signals";
import type { DialIn, DialInNumber } from "dialroom";
import { CopyButton } from "../components/copy_button.js";
import { Icon } from "../components/icon.js";
import { QrCode } from "../components/qr_code.js";
import { byCountry, groupDigits } from "../model/words.js";
import { Panel } from "./panel.js";

interface PhonePanelProps {
  dialIn: DialIn;
  roomName: string;
  onClose(): void;
}

/** How to come into the room from a telephone. */
export function PhonePanel({ dialIn, roomName, onClose }: PhonePanelProps) {
  const chosen = useSignal<DialInNumber | undefined>(dialIn.numbers[0]);
  const number = chosen.value;
  if (!number) {
    return (
      <Panel title="Join by phone" testId="phone-panel" onClose={onClose}>
        <p class="hint">No phone number leads into this room yet. The server's operator can add one.</p>
      </Panel>
    );
  }
  const entersCode = number.telUri.includes(","); // one that leads straight into the room asks for none
  return (
    <Panel title="Join by phone" testId="phone-panel" onClose={onClose}>
      <div class="dial-card">
        <QrCode
          text={number.telUri}
          label={`QR code that calls ${number.display}${entersCode ? " and enters the code" : ""}`}
        />
        <p class="hint">
          {entersCode ? "Scan to call; the code is dialled for you." : "Scan to call; no code is needed."}
        </p>
        <a class="button primary" href={number.telUri} data-testid="dial-in-call">
          <Icon name="phone" size={19} />
          <span>Call {number.display}</span>
        </a>
      </div>
      {dialIn.code && <h3>Meeting code</h3>}
      {dialIn.code && (
        <p class="code" data-testid="dial-in-code" data-code={dialIn.code}>
          {groupDigits(dialIn.code)}
          <span> #</span>
        </p>
      )}
      {dialIn.pinRequired && <p class="hint">You are asked for the room's PIN as well.</p>}
      <Numbers dialIn={dialIn} chosen={number} onChoose={(next) => (chosen.value = next)} />
      <CopyButton text={invitationText(roomName, dialIn)} label="Copy dial-in details" />
      <dl class="keys">
        <dt>*6</dt>
        <dd>mute, unmute</dd>
        <dt>*9</dt>
        <dd>raise hand</dd>
        <dt>*4 · *7</dt>
        <dd>louder, quieter</dd>
        <dt>**</dt>
        <dd>all keys</dd>
      </dl>
    </Panel>
  );
}

interface NumbersProps {
  dialIn: DialIn;
  chosen: DialInNumber;
  onChoose(number: DialInNumber): void;
}

function Numbers({ dialIn, chosen, onChoose }: NumbersProps) {
  return (
    <div class="numbers">
      {byCountry(dialIn.numbers).map(({ name, numbers }) => (
        <section key={name}>
          <h3>{name}</h3>
          <ul>
            {numbers.map((number) => (
              <li key={number.number} class={number === chosen ? "chosen" : ""}>
                <a href={number.telUri} data-testid="dial-in-number" data-number={number.number}>
                  <Icon name="phone" size={16} /> {number.display}
                </a>
                <button
                  type="button"
                  aria-pressed={number === chosen}
                  aria-label={`QR code for ${number.display}`}
                  onClick={() => onChoose(number)}
                >
                  QR
                </button>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

/** For a mail or a calendar entry. */
export function invitationText(roomName: string, dialIn: DialIn): string {
  const numbers = dialIn.numbers.map(({ display, countryName }) =>
    countryName ? `${countryName}: ${display}` : display,
  );
  const code = dialIn.code ? [`Meeting code: ${groupDigits(dialIn.code)} #`] : [];
  return [`Join ${roomName} by phone`, ...numbers, ...code].join("\n");
}
