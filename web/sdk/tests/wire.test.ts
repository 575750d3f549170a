import { describe, expect, it } from "vitest";
import { joinedFrom, parseMessage, participantFrom, roomFrom } from "../src/wire.js";

const event = (value: unknown) => parseMessage(JSON.stringify(value));

describe("parseMessage", () => {
  it("tells answers, refusals and events apart", () => {
    expect(event({ type: "ok", id: 3, sdp: "x" })).toMatchObject({ type: "ok", id: 3, fields: { sdp: "x" } });
    expect(event({ type: "error", id: 3, error: { code: "room_locked" } })).toMatchObject({
      type: "error",
      id: 3,
    });
    expect(event({ type: "media.lost" })).toEqual({ type: "event", event: { type: "media.lost" } });
  });

  it.each([
    ["what is no JSON", "{"],
    ["what is no text", new ArrayBuffer(2)],
    ["null", "null"],
    ["a number", "7"],
    ["an event of a newer server", '{"type":"captions"}'],
    ["a participant without id", '{"type":"participant.joined","participant":{"name":"x"}}'],
  ])("leaves out %s", (_, data) => {
    expect(parseMessage(data)).toBeNull();
  });

  it("keeps going when a list holds nonsense", () => {
    expect(event({ type: "speakers", speakers: [null, 4, { participant: "a", level: -20 }] })).toMatchObject({
      event: { speakers: [{ participant: "" }, { participant: "" }, { participant: "a", level: -20 }] },
    });
    expect(event({ type: "slots", slots: "none" })).toMatchObject({ event: { slots: [] } });
  });

  it("empties a slot by nulls", () => {
    expect(event({ type: "slots", slots: [{ mid: "3", participant: null, source: null }] })).toMatchObject({
      event: { slots: [{ mid: "3", participant: null, source: null }] },
    });
  });
});

describe("values from the wire", () => {
  it("reads a participant on the phone", () => {
    const participant = participantFrom({
      id: "part_1",
      identity: "x",
      name: "",
      kind: "phone",
      role: "guest",
      muted: true,
      hand_raised: true,
      tracks: { microphone: true },
      phone_number: "+1 202 555 ••41",
      connected: false,
      joined_at: "2026-01-01T10:00:00Z",
    });
    expect(participant).toEqual({
      id: "part_1",
      identity: "x",
      name: "",
      kind: "phone",
      role: "guest",
      muted: true,
      handRaised: true,
      tracks: { microphone: true, camera: false, screen: false },
      phoneNumber: "+1 202 555 ••41",
      connected: false,
      joinedAt: "2026-01-01T10:00:00Z",
    });
  });

  it("reads how to dial in", () => {
    const room = roomFrom({
      id: "room_1",
      name: "Standup",
      dial_in: {
        enabled: true,
        code: "482913057",
        pin_required: true,
        numbers: [
          {
            number: "+12025550143",
            display: "+1 202-555-0143",
            country: "US",
            country_name: "United States",
            tel_uri: "tel:x",
          },
        ],
      },
    });
    expect(room.dialIn).toEqual({
      enabled: true,
      code: "482913057",
      pinRequired: true,
      numbers: [
        {
          number: "+12025550143",
          display: "+1 202-555-0143",
          country: "US",
          countryName: "United States",
          telUri: "tel:x",
        },
      ],
    });
  });

  it("takes the session as an id or as a value, and only ICE servers that name one", () => {
    expect(joinedFrom({ session: { id: "sess_1" }, ice_servers: [{ urls: "stun:x" }, {}] })).toMatchObject({
      session: "sess_1",
      iceServers: [{ urls: "stun:x" }],
    });
    expect(joinedFrom({ session: "sess_2" }).session).toBe("sess_2");
  });
});
