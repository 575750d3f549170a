import type { RoomView } from "../model/room_view.js";
import { groupDigits } from "../model/words.js";
import { Button } from "./button.js";
import { CopyButton } from "./copy_button.js";

/** Shown to whoever is alone in the room: how others come. */
export function Invitation({ view }: { view: RoomView }) {
  const { joinUrl, dialIn } = view.info.value;
  const [number] = dialIn?.enabled ? dialIn.numbers : [];
  return (
    <section class="invitation" aria-label="Invite others">
      <h2>You are the first one here</h2>
      <p>Others join by link{number ? ", or from any phone" : ""}.</p>
      {number && dialIn && (
        <p class="dial">
          <strong>{number.display}</strong>
          {dialIn.code && " code "}
          <strong>{groupDigits(dialIn.code)}</strong>
        </p>
      )}
      <div class="actions">
        <CopyButton text={joinUrl || location.href} label="Copy link" />
        {number && (
          <Button icon="phone" onClick={() => view.toggle("phone")}>
            Join by phone
          </Button>
        )}
      </div>
    </section>
  );
}
