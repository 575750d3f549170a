import type { DialIn } from "dialroom";
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { invitationText, PhonePanel } from "../src/panels/phone_panel.js";

const DIAL_IN: DialIn = {
  enabled: true,
  code: "482913057",
  pinRequired: false,
  numbers: [
    {
      number: "+12025550143",
      display: "+1 202-555-0143",
      country: "US",
      countryName: "United States",
      telUri: "tel:+12025550143,,482913057%23",
    },
    {
      number: "+442079460321",
      display: "+44 20 7946 0321",
      country: "GB",
      countryName: "United Kingdom",
      telUri: "tel:+442079460321,,482913057%23",
    },
  ],
};

let root: HTMLElement;
const all = (selector: string): HTMLElement[] => [...root.querySelectorAll<HTMLElement>(selector)];
const show = (dialIn: DialIn, onClose = () => {}): Promise<void> =>
  act(() => render(<PhonePanel dialIn={dialIn} roomName="Standup" onClose={onClose} />, root));

beforeEach(() => {
  root = document.createElement("div");
  document.body.append(root);
});

afterEach(() => {
  render(null, root);
  root.remove();
});

describe("the panel Join by phone", () => {
  it("does not say that a code is dialled for a number that asks for none", async () => {
    const straight = DIAL_IN.numbers.map((number) => ({ ...number, telUri: `tel:${number.number}` }));
    await show({ ...DIAL_IN, numbers: straight });
    expect(root.querySelector(".dial-card .hint")?.textContent).toBe("Scan to call; no code is needed.");
    expect(root.querySelector("[role=img]")?.getAttribute("aria-label")).not.toContain("code and");
  });

  it("shows the code in groups and the numbers by country, each dialled with one tap", async () => {
    await show(DIAL_IN);
    expect(all("[data-testid=dial-in-code]").map(({ textContent }) => textContent)).toEqual([
      "482 913 057 #",
    ]);
    expect(all("h3").map(({ textContent }) => textContent)).toEqual([
      "Meeting code",
      "United States",
      "United Kingdom",
    ]);
    expect(all("[data-testid=dial-in-number]").map((link) => link.getAttribute("href"))).toEqual([
      "tel:+12025550143,,482913057%23",
      "tel:+442079460321,,482913057%23",
    ]);
  });

  it("changes the QR code and the big button to the number chosen", async () => {
    await show(DIAL_IN);
    const code = (): string | null | undefined => root.querySelector(".qr path")?.getAttribute("d");
    const first = code();
    await act(() => all(".numbers button")[1]?.click());
    expect(code()).not.toBe(first);
    expect(root.querySelector("[data-testid=dial-in-call]")?.getAttribute("href")).toBe(
      "tel:+442079460321,,482913057%23",
    );
    expect(root.querySelector(".qr")?.getAttribute("aria-label")).toContain("+44 20 7946 0321");
  });

  it("says that no number leads into the room", async () => {
    await show({ ...DIAL_IN, numbers: [] });
    expect(root.textContent).toContain("No phone number leads into this room yet");
  });

  it("takes the focus and is closed by its button and by Esc", async () => {
    const close = vi.fn();
    await show(DIAL_IN, close);
    expect(document.activeElement?.textContent).toBe("Join by phone");
    root.querySelector<HTMLElement>(".close")?.click();
    expect(close).toHaveBeenCalledOnce();
    window.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    expect(close).toHaveBeenCalledTimes(2);
  });

  it("can be sent to others as text", () => {
    expect(invitationText("Standup", DIAL_IN)).toBe(
      "Join Standup by phone\nUnited States: +1 202-555-0143\nUnited Kingdom: +44 20 7946 0321\nMeeting code: 482 913 057 #",
    );
  });
});
