import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type JoinOptions, join, socketUrl } from "../src/join.js";
import type { Room } from "../src/room.js";
import { FakeBrowser, person, ROOM } from "./fakes.js";

let browser: FakeBrowser;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal(
    "MediaStream",
    class {
      constructor(readonly tracks: unknown[]) {}
    },
  );
  browser = new FakeBrowser();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

async function enter(options: Partial<JoinOptions> = {}): Promise<Room> {
  const room = await join({ url: "https://example.com", token: "token-1", environment: browser, ...options });
  await settle();
  return room;
}

function record<Value>(room: Room, ...events: Parameters<Room["on"]>[0][]): [string, Value][] {
  const seen: [string, Value][] = [];
  for (const event of events) room.on(event, (value: unknown) => seen.push([event, value as Value]));
  return seen;
}

describe("joining", () => {
  it("finds the socket of a server, also under a path", () => {
    expect(socketUrl("https://example.com")).toBe("wss://example.com/api/socket");
    expect(socketUrl("http://localhost:8080/calls/?x#y")).toBe("ws://localhost:8080/calls/api/socket");
  });

  it("says who we are and learns who is there", async () => {
    const room = await enter({ name: "Me" });
    expect(browser.server.requests("join")).toMatchObject([{ token: "token-1", name: "Me" }]);
    expect(room.state).toBe("connected");
    expect(room.me.id).toBe("me");
    expect(room.session).toBe("sess_1");
    expect(room.info.name).toBe("Standup");
    expect(room.participants.map(({ id }) => id)).toEqual(["me", "ada"]);
  });

  it("offers all its m-lines once, sending ones first, and names them to the server", async () => {
    await enter({ videoSlots: 2 });
    expect(browser.peer.configuration.iceServers).toMatchObject([{ username: "u" }]);
    expect(browser.peer.transceivers.map(({ kind, direction }) => `${kind} ${direction}`)).toEqual([
      "audio sendonly",
      "video sendonly",
      "video sendonly",
      ...Array(4).fill("audio recvonly"),
      ...Array(2).fill("video recvonly"),
    ]);
    expect(browser.server.requests("offer")).toMatchObject([
      {
        sdp: "offer 1",
        publish: [
          { mid: "0", source: "microphone" },
          { mid: "1", source: "camera" },
          { mid: "2", source: "screen" },
        ],
        audio_slots: ["3", "4", "5", "6"],
        video_slots: ["7", "8"],
        restart: false,
      },
    ]);
    expect(browser.peer.remote).toEqual(["answer to offer 1"]);
  });

  it("sends the microphone and camera it was asked for", async () => {
    await enter({ microphone: true, camera: true });
    expect(browser.peer.sent(0)?.kind).toBe("audio");
    expect(browser.peer.sent(1)?.kind).toBe("video");
    expect(browser.server.requests("publish").at(-1)).toMatchObject({
      microphone: true,
      camera: true,
      screen: false,
    });
  });

  it("announces nothing before the server has its media connection", async () => {
    browser.server.answers.offer = () => null;
    await enter({ microphone: true });
    expect(browser.server.requests("publish")).toEqual([]);
    browser.server.socket.say({ type: "ok", id: browser.server.requests("offer")[0]?.id, sdp: "answer" });
    await settle();
    expect(browser.server.requests("publish")).toMatchObject([{ microphone: true }]);
  });

  it("opens nothing it was not asked for", async () => {
    await enter();
    expect(browser.tracks).toEqual([]);
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ microphone: false, camera: false });
  });

  it("gives the server's refusal as a typed error and lets go of the devices", async () => {
    browser.server.refuse("join", "room_locked", "The room is locked");
    await expect(enter({ microphone: true })).rejects.toMatchObject({
      name: "DialroomError",
      code: "room_locked",
      reason: "room",
      title: "The room is locked",
      detail: "because",
      fix: "do",
    });
    expect(browser.tracks.every(({ stopped }) => stopped)).toBe(true);
    expect(browser.peers).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("says that the server cannot be reached", async () => {
    browser.server.reachable = false;
    await expect(enter({ url: location.origin })).rejects.toMatchObject({
      code: "connection_lost",
      reason: "network",
      fix: "Check the network connection.",
    });
    await expect(enter()).rejects.toMatchObject({ fix: expect.stringContaining("allowed_origins") });
  });

  it.each([
    ["NotAllowedError", "permission_denied", "permission"],
    ["NotFoundError", "no_device", "device"],
    ["NotReadableError", "device_busy", "device"],
  ])("explains %s", async (name, code, reason) => {
    browser.forbidden.audio = name;
    await expect(enter({ microphone: true })).rejects.toMatchObject({ code, reason });
    expect(browser.server.sockets).toEqual([]);
  });
});

describe("the roster", () => {
  it("follows who comes, changes and goes", async () => {
    const room = await enter();
    const seen = record<{ id?: string }>(
      room,
      "participant.joined",
      "participant.updated",
      "participant.left",
    );
    const { socket } = browser.server;
    socket.say({ type: "participant.joined", participant: person("pho", { kind: "phone" }) });
    socket.say({ type: "participant.updated", participant: person("pho", { kind: "phone", muted: true }) });
    socket.say({ type: "participant.left", participant: "ada", reason: "removed" });
    expect(seen).toMatchObject([
      ["participant.joined", { id: "pho", kind: "phone" }],
      ["participant.updated", { id: "pho", muted: true }],
      ["participant.left", { participant: { id: "ada" }, reason: "removed" }],
    ]);
    expect(room.participants.map(({ id }) => id)).toEqual(["me", "pho"]);
  });

  it("tells the speakers, without those who have left", async () => {
    const room = await enter();
    const seen = record(room, "speakers");
    const { socket } = browser.server;
    socket.say({
      type: "speakers",
      speakers: [
        { participant: "ada", level: -18 },
        { participant: "ghost", level: -9 },
      ],
    });
    expect(seen).toEqual([["speakers", [{ participant: "ada", level: -18 }]]]);
    socket.say({ type: "participant.left", participant: "ada", reason: "left" });
    expect(room.speakers).toEqual([]);
  });

  it("knows whose voice is in which audio slot", async () => {
    const room = await enter();
    browser.server.socket.say({
      type: "slots",
      slots: [{ mid: "4", participant: "ada", source: "microphone" }],
    });
    expect(room.audioTracks().map(({ mid, participant }) => [mid, participant])).toEqual([
      ["3", null],
      ["4", "ada"],
      ["5", null],
      ["6", null],
    ]);
  });

  it("receives the video it watches, once it is published", async () => {
    const room = await enter();
    room.watch("ada", "camera");
    await settle();
    expect(browser.server.requests("subscribe")).toEqual([]);
    const tracks = { microphone: true, camera: true, screen: false };
    browser.server.socket.say({ type: "participant.updated", participant: person("ada", { tracks }) });
    await settle();
    expect(browser.server.requests("subscribe")).toMatchObject([
      { slots: [{ mid: "7", participant: "ada", source: "camera" }] },
    ]);
    expect(room.videoTrack("ada", "camera")).toBe(browser.peer.transceivers[7]?.receiver.track);
  });
});

describe("our own devices", () => {
  it("are shown without a detour over the server", async () => {
    browser.server.participants = [
      person("me", { tracks: { microphone: true, camera: true, screen: false } }),
    ];
    const room = await enter({ camera: true });
    room.watch("me", "camera");
    await settle();
    expect(room.videoTrack("me", "camera")).toBe(browser.tracks[0]);
    expect(browser.server.requests("subscribe")).toEqual([]);
  });

  it("mutes by silencing the track, and says so", async () => {
    const room = await enter({ microphone: true });
    await room.setMicrophone(false);
    expect(browser.tracks[0]).toMatchObject({ enabled: false, stopped: false });
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ microphone: false });
    await room.setMicrophone(true);
    expect(browser.tracks).toHaveLength(1);
    expect(browser.tracks[0]?.enabled).toBe(true);
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ microphone: true });
  });

  it("lets the camera go when it is off", async () => {
    const room = await enter({ camera: true });
    await room.setCamera(false);
    expect(browser.tracks[0]?.stopped).toBe(true);
    expect(browser.peer.sent(1)).toBeNull();
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ camera: false });
  });

  it("changes the microphone without negotiating, and keeps it muted", async () => {
    const room = await enter({ microphone: true });
    await room.setMicrophone(false);
    await room.local.use("microphone", "headset");
    expect(browser.tracks.map(({ deviceId, stopped, enabled }) => [deviceId, stopped, enabled])).toEqual([
      ["audio-default", true, false],
      ["headset", false, false],
    ]);
    expect(browser.peer.sent(0)?.deviceId).toBe("headset");
    expect(browser.server.requests("offer")).toHaveLength(1);
  });

  it("takes another microphone when the chosen one is gone", async () => {
    await enter({ microphone: "gone" });
    expect(browser.tracks.map(({ deviceId }) => deviceId)).toEqual(["audio-default"]);
  });

  it("takes another microphone when the one in use is unplugged", async () => {
    const room = await enter({ microphone: true });
    browser.tracks[0]?.end();
    await settle();
    expect(browser.tracks).toHaveLength(2);
    expect(browser.peer.sent(0)).toBe(browser.tracks[1]);
    expect(browser.tracks[1]?.enabled).toBe(true);
    expect(room.local.state.microphone).toBe(true);
  });

  it("is muted, and says why, when an unplugged microphone has no successor", async () => {
    const room = await enter({ microphone: true });
    const errors = record<{ code: string }>(room, "error");
    browser.forbidden.audio = "NotFoundError";
    browser.tracks[0]?.end();
    await settle();
    expect(errors).toMatchObject([["error", { code: "no_device" }]]);
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ microphone: false });
  });

  it("shares the screen as a track of its own until the browser's stop button", async () => {
    const room = await enter();
    await room.setScreen(true);
    await settle();
    expect(browser.peer.sent(2)?.contentHint).toBe("detail");
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ screen: true, camera: false });
    browser.tracks[0]?.end();
    await settle();
    expect(browser.peer.sent(2)).toBeNull();
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ screen: false });
  });

  it("tells not having chosen a screen apart from failures", async () => {
    const room = await enter();
    browser.forbidden.screen = "NotAllowedError";
    await expect(room.setScreen(true)).rejects.toMatchObject({
      code: "screen_cancelled",
      reason: "permission",
    });
  });

  it("does not ask for a screen to be plugged in where there is none", async () => {
    const room = await enter();
    browser.forbidden.screen = "NotFoundError";
    const refused = await room.setScreen(true).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "no_device", title: "The browser found nothing to share" });
  });

  it("lets go of a screen that was chosen when the room was over already", async () => {
    const room = await enter();
    const sharing = room.setScreen(true);
    await room.leave();
    await sharing;
    expect(browser.tracks.map(({ stopped }) => stopped)).toEqual([true]);
    expect(room.local.track("screen")).toBeNull();
  });

  it("leaves nothing behind, however often it is entered and left", async () => {
    for (let visit = 0; visit < 50; visit++) {
      const room = await enter({ microphone: true, camera: true });
      browser.peer.ice("connected");
      await room.setScreen(true);
      await room.leave();
    }
    await vi.advanceTimersByTimeAsync(10_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(browser.tracks).toHaveLength(150);
    expect(browser.tracks.every(({ stopped }) => stopped)).toBe(true);
    expect(browser.peers.every(({ closed }) => closed)).toBe(true);
    expect(browser.server.sockets.every(({ closedWith }) => closedWith === 1000)).toBe(true);
    expect(browser.sounds.every(({ srcObject }) => srcObject === null)).toBe(true);
    expect(browser.listeners.get("devicechange")?.size).toBe(0);
    expect(browser.waitingForNetwork).toBe(0);
  });

  it("tells about devices that come and go", async () => {
    const room = await enter({ microphone: true });
    const seen: number[] = [];
    room.local.on("devices", ({ microphones }) => seen.push(microphones.length));
    browser.devices = [{ kind: "audioinput", deviceId: "headset", label: "Headset" }];
    for (const listener of browser.listeners.get("devicechange") ?? []) listener();
    await settle();
    expect(seen).toEqual([1]);
  });

  it("says when the browser keeps the sound back, until it is started by a click", async () => {
    browser.autoplay = false;
    const room = await enter();
    expect(room.audioBlocked).toBe(true);
    browser.autoplay = true;
    await room.startAudio();
    expect(room.audioBlocked).toBe(false);
  });
});

describe("moderation", () => {
  const muteMe = (muted: boolean) =>
    browser.server.socket.say({ type: "participant.updated", participant: person("me", { muted }) });

  it("obeys a host's mute, and does not switch itself on after it", async () => {
    const room = await enter({ microphone: true });
    muteMe(true);
    await settle();
    expect(browser.tracks[0]?.enabled).toBe(false);
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ microphone: false });
    muteMe(false);
    await settle();
    expect(browser.tracks[0]?.enabled).toBe(false);
    expect(room.local.state.microphone).toBe(false);
  });

  it("unmutes itself when the person wants so, which the server takes as lifting the mute", async () => {
    const room = await enter({ microphone: true });
    muteMe(true);
    await settle();
    await room.setMicrophone(true);
    await settle();
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ microphone: true });
    muteMe(true);
    await settle();
    expect(browser.tracks[0]?.enabled).toBe(true);
    muteMe(false);
    muteMe(true);
    await settle();
    expect(browser.tracks[0]?.enabled).toBe(false);
  });

  it("joins muted where a host has muted us before", async () => {
    browser.server.participants = [person("me", { muted: true })];
    await enter({ microphone: true });
    expect(browser.tracks[0]?.enabled).toBe(false);
    expect(browser.server.requests("publish").at(-1)).toMatchObject({ microphone: false });
  });

  it("sends a host's wishes, and gives the server's refusal to others", async () => {
    const room = await enter();
    await room.moderate("remove", "ada");
    await room.moderate("lock");
    await room.raiseHand(true);
    await room.rename("Ada Byron");
    expect(
      browser.server.requests("moderate").map(({ action, participant }) => [action, participant]),
    ).toEqual([
      ["remove", "ada"],
      ["lock", undefined],
    ]);
    expect(browser.server.requests("hand")).toMatchObject([{ raised: true }]);
    expect(browser.server.requests("rename")).toMatchObject([{ name: "Ada Byron" }]);
    browser.server.refuse("moderate", "forbidden");
    await expect(room.moderate("end")).rejects.toMatchObject({ code: "forbidden", reason: "forbidden" });
  });

  it("sees the room being locked", async () => {
    const room = await enter();
    browser.server.socket.say({ type: "room.updated", room: { ...ROOM, locked: true } });
    expect(room.info.locked).toBe(true);
  });
});

describe("the end", () => {
  it("leaves with a word and lets go of everything", async () => {
    const room = await enter({ microphone: true });
    const seen = record(room, "ended", "state");
    await room.leave();
    expect(seen).toEqual([
      ["state", "ended"],
      ["ended", { reason: "left", error: null }],
    ]);
    expect(browser.server.requests("leave")).toHaveLength(1);
    expect(browser.server.socket.closedWith).toBe(1000);
    expect(browser.peer.closed).toBe(true);
    expect(browser.tracks[0]?.stopped).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each(["removed", "ended", "replaced"])("stays away when it is %s", async (reason) => {
    const room = await enter();
    const seen = record(room, "ended");
    browser.server.socket.say({ type: "ended", reason });
    browser.server.socket.drop(4000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen).toEqual([["ended", { reason, error: null }]]);
    expect(browser.server.sockets).toHaveLength(1);
    expect(browser.peer.closed).toBe(true);
  });

  it("follows when it is moved to another room, with its devices", async () => {
    const room = await enter({ microphone: true });
    const seen = record<{ id: string }>(room, "moved", "ended");
    const other = { ...ROOM, id: "room_2", name: "Breakout" };
    browser.server.socket.say({ type: "moved", room: other, token: "token-2" });
    browser.server.room = other;
    browser.server.participants = [person("me2")];
    browser.server.socket.say({ type: "ended", reason: "moved" });
    await settle();
    expect(browser.server.requests("join").at(-1)).toMatchObject({ token: "token-2" });
    expect(seen).toMatchObject([["moved", { id: "room_2" }]]);
    expect(room.participants.map(({ id }) => id)).toEqual(["me2"]);
    expect(browser.peers).toHaveLength(2);
    expect(browser.peer.sent(0)).toBe(browser.tracks[0]);
  });
});
