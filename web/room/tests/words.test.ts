import type { Participant } from "dialroom";
import { expect, describe as group, it } from "vitest";
import {
  byCountry,
  describe,
  displayName,
  groupDigits,
  hueOf,
  initials,
  leftSentence,
  toVisitors,
} from "../src/model/words.js";

const participant = (fields: Partial<Participant>): Participant => ({
  id: "part_1",
  identity: "x",
  name: "Ada",
  kind: "web",
  role: "guest",
  muted: false,
  handRaised: false,
  tracks: { microphone: true, camera: false, screen: false },
  phoneNumber: null,
  connected: true,
  joinedAt: "",
  ...fields,
});

group("groupDigits", () => {
  it.each([
    ["", ""],
    ["12", "12"],
    ["1234", "12 34"],
    ["12345", "123 45"],
    ["123456", "123 456"],
    ["1234567", "123 45 67"],
    ["482913057", "482 913 057"],
    ["4829130571", "482 913 05 71"],
  ])("writes %s as %s", (digits, grouped) => {
    expect(groupDigits(digits)).toBe(grouped);
  });
});

group("names", () => {
  it("stands for a name with its first and last letters", () => {
    expect(["Ada Byron King", "ada", "  ", "山田 太郎", "🦊 Fox"].map(initials)).toEqual([
      "AK",
      "A",
      "",
      "山太",
      "🦊F",
    ]);
  });

  it("calls those on the phone by name, else by number", () => {
    const caller = { kind: "phone", phoneNumber: "+1 202 555 ••41" } as const;
    expect(displayName(participant({ ...caller, name: "Grandpa" }))).toBe("Grandpa");
    expect(displayName(participant({ ...caller, name: "" }))).toBe("+1 202 555 ••41");
    expect(displayName(participant({ kind: "phone", name: "", phoneNumber: null }))).toBe("Caller");
  });

  it("tells a SIP device from a person of that name", () => {
    expect(displayName(participant({ kind: "sip", name: "Anna" }))).toBe("Anna (SIP)");
    expect(displayName(participant({ kind: "sip", name: "" }))).toBe("SIP device");
    expect(displayName(participant({ kind: "sip", name: "SIP device" }))).toBe("SIP device");
  });

  it("gives one person always the same colour", () => {
    expect(hueOf("ada", 6)).toBe(hueOf("ada", 6));
    expect(
      new Set(["a", "b", "c", "d", "e", "f"].map((identity) => hueOf(identity, 6))).size,
    ).toBeGreaterThan(3);
  });
});

group("what screen readers hear of a tile", () => {
  it("tells kind, mute, speech, hand and connection", () => {
    expect(describe(participant({}), true, true)).toBe("Ada, you, speaking");
    const caller = participant({ kind: "phone", muted: true, handRaised: true, connected: false });
    expect(describe(caller, false, false)).toBe("Ada, on the phone, muted, hand raised, reconnecting");
  });

  it("says once that it is a SIP device", () => {
    expect(describe(participant({ kind: "sip", name: "Anna" }), false, false)).toBe("Anna, on a SIP device");
    expect(describe(participant({ kind: "sip", name: "SIP device" }), false, false)).toBe("SIP device");
    expect(describe(participant({ kind: "sip", name: "" }), false, false)).toBe("SIP device");
  });
});

group("leaving", () => {
  it("says how someone went", () => {
    expect(leftSentence(participant({}), "removed")).toBe("Ada was removed");
    expect(leftSentence(participant({}), "lost")).toBe("Ada lost the connection");
    expect(leftSentence(participant({}), "left")).toBe("Ada left");
  });
});

group("byCountry", () => {
  it("gathers numbers, and keeps the server's order", () => {
    const number = (digits: string, countryName: string) => ({
      number: digits,
      display: digits,
      country: "",
      countryName,
      telUri: "",
    });
    const countries = byCountry([number("1", "Spain"), number("2", "Chile"), number("3", "Spain")]);
    expect(countries.map(({ name, numbers }) => [name, numbers.map((each) => each.number)])).toEqual([
      ["Spain", ["1", "3"]],
      ["Chile", ["2"]],
    ]);
  });
});

group("what the API refuses", () => {
  const refusal = {
    title: "No",
    detail: "All 5 places are taken.",
    fix: "Raise the room's `max_participants`.",
  };
  it("is said to visitors without the developer's part of it", () => {
    const said = toVisitors({ ...refusal, code: "room_full" });
    expect(said).toMatchObject({ code: "room_full", title: "No" });
    expect(`${said.detail} ${said.fix}`).not.toContain("max_participants");
  });

  it("is told in its own words where they fit everybody", () => {
    const locked = { ...refusal, code: "room_locked" };
    expect(toVisitors(locked)).toEqual(locked);
  });
});
