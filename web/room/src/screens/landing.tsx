import { useSignal } from "@preact/signals";
import { Button } from "../components/button.js";
import { slugFrom } from "../model/address.js";
import { Message } from "./message.js";

/** For an address that names no room. */
export function Landing() {
  const typed = useSignal("");
  const open = (event: Event): void => {
    event.preventDefault();
    const slug = slugFrom(typed.value);
    if (slug) location.assign(`/r/${encodeURIComponent(slug)}`);
  };
  return (
    <Message title="Which room?" testId="landing">
      <p>Open the link you were given, or type the room's name.</p>
      <form class="field with-button" onSubmit={open}>
        <label for="room">Room link or name</label>
        <input
          id="room"
          required
          maxLength={500}
          autocapitalize="none"
          autocomplete="off"
          value={typed.value}
          onInput={({ currentTarget }) => {
            typed.value = currentTarget.value;
          }}
        />
        <Button type="submit" tone="primary">
          Open
        </Button>
      </form>
    </Message>
  );
}
