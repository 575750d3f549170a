import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { join } from "../src/join.js";
import type { Room } from "../src/room.js";
import { FakeBrowser, person } from "./fakes.js";

let browser: FakeBrowser;
let room: Room;
let tokens: number;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("MediaStream", class {});
  browser = new FakeBrowser();
  tokens = 0;
  room = await join({
    url: "https://example.com",
    token: async () => `token-${++tokens}`,
    microphone: true,
    environment: browser,
  });
  await vi.advanceTimersByTimeAsync(0);
  browser.peer.ice("connected");
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const states = (): string[] => {
  const seen: string[] = [];
  room.on("state", (state) => seen.push(state));
  return seen;
};

describe("a lost socket", () => {
  it.each([1001, 1006, 1012])("is resumed after closing with %i, and media goes on", async (code) => {
    const seen = states();
    browser.server.socket.drop(code);
    expect(room.state).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(400);
    expect(seen).toEqual(["reconnecting", "connected"]);
    expect(browser.server.requests("resume")).toMatchObject([{ resume_token: "resume-1" }]);
    expect(browser.server.requests("join")).toHaveLength(1);
    expect(browser.server.requests("offer")).toHaveLength(1);
    expect(browser.peers).toHaveLength(1);
  });

  it("learns what happened meanwhile, and says again what it sends", async () => {
    const seen: string[] = [];
    room.on("participant.joined", ({ id }) => seen.push(`${id} joined`));
    room.on("participant.left", ({ participant }) => seen.push(`${participant.id} left`));
    browser.server.participants = [person("me"), person("ben")];
    browser.server.socket.drop();
    await room.setMicrophone(false);
    await vi.advanceTimersByTimeAsync(400);
    expect(seen).toEqual(["ada left", "ben joined"]);
    expect(browser.server.socket.requests("publish")).toMatchObject([{ microphone: false }]);
  });

  it("is told by the room's state, and not as an error of the negotiation it broke", async () => {
    const errors: string[] = [];
    room.on("error", ({ code }) => errors.push(code));
    browser.server.answers.offer = () => null;
    browser.server.socket.say({ type: "media.lost" });
    await vi.advanceTimersByTimeAsync(0);
    browser.server.socket.drop();
    await vi.advanceTimersByTimeAsync(400);
    expect(room.state).toBe("connected");
    expect(errors).toEqual([]);
  });

  it("is tried again with growing waits, and at once when the network is back", async () => {
    browser.server.reachable = false;
    browser.server.socket.drop();
    await vi.advanceTimersByTimeAsync(20_000);
    const tries = browser.server.sockets.length;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(16);
    browser.server.reachable = true;
    browser.goOnline();
    await vi.advanceTimersByTimeAsync(0);
    expect(room.state).toBe("connected");
    expect(browser.server.sockets).toHaveLength(tries + 1);
  });

  it("does not storm a server that takes us in only to fail again", async () => {
    browser.server.answers.resume = () => {
      setTimeout(() => browser.server.socket.drop(), 50);
      return browser.server.joined(true);
    };
    browser.server.socket.drop();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(browser.server.requests("resume").length).toBeLessThan(20);
  });

  it("joins anew with a fresh token and a new peer when the server has forgotten us", async () => {
    browser.server.refuse("resume", "resume_expired");
    browser.server.socket.drop();
    await vi.advanceTimersByTimeAsync(400);
    expect(room.state).toBe("connected");
    expect(browser.server.requests("join").map(({ token }) => token)).toEqual(["token-1", "token-2"]);
    expect(browser.peers.map(({ closed }) => closed)).toEqual([true, false]);
    expect(browser.peer.sent(0)).toBe(browser.tracks[0]);
  });

  it("ends when the room lets us in no more", async () => {
    browser.server.refuse("resume", "resume_expired");
    browser.server.refuse("join", "room_locked");
    const ended = room.once("ended");
    browser.server.socket.drop();
    await vi.advanceTimersByTimeAsync(400);
    expect(await ended).toMatchObject({ reason: "refused", error: { code: "room_locked" } });
  });

  it("goes on trying when the server fails for the moment", async () => {
    browser.server.refuse("resume", "unavailable");
    browser.server.socket.drop();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(room.state).toBe("reconnecting");
    browser.server.answers.resume = () => browser.server.joined(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(room.state).toBe("connected");
  });

  it("gives up after five minutes", async () => {
    browser.server.reachable = false;
    const ended = room.once("ended");
    browser.server.socket.drop();
    await vi.advanceTimersByTimeAsync(6 * 60_000);
    expect(await ended).toMatchObject({ reason: "lost" });
    const tries = browser.server.sockets.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.server.sockets).toHaveLength(tries);
  });

  it("stays away when the token was refused at closing", async () => {
    const ended = room.once("ended");
    browser.server.socket.drop(4001);
    expect(await ended).toMatchObject({ reason: "refused" });
  });

  it("is resumed once after flooding, not twice", async () => {
    browser.server.socket.drop(4008);
    await vi.advanceTimersByTimeAsync(400);
    expect(room.state).toBe("connected");
    const ended = room.once("ended");
    browser.server.socket.drop(4008);
    expect(await ended).toMatchObject({ reason: "lost" });
  });

  it("is noticed by an unanswered ping", async () => {
    browser.server.answers.ping = () => null;
    await vi.advanceTimersByTimeAsync(26_000);
    expect(browser.server.requests("resume")).toHaveLength(1);
    expect(room.state).toBe("connected");
  });

  it("keeps a healthy socket by pings alone", async () => {
    await vi.advanceTimersByTimeAsync(61_000);
    expect(browser.server.requests("ping")).toHaveLength(4);
    expect(browser.server.sockets).toHaveLength(1);
  });

  it("fails what was under way, and what is asked meanwhile, as lost", async () => {
    browser.server.answers.hand = () => null;
    const under = expect(room.raiseHand(true)).rejects.toMatchObject({ code: "connection_lost" });
    browser.server.socket.drop();
    await under;
    await expect(room.rename("x")).rejects.toMatchObject({ code: "connection_lost", reason: "network" });
  });

  it("is not resumed after leaving meanwhile", async () => {
    browser.server.socket.drop();
    await room.leave();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.server.sockets).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("lost media", () => {
  it("restarts ICE when a gap does not heal by itself", async () => {
    browser.peer.ice("disconnected");
    expect(room.media).toBe("interrupted");
    await vi.advanceTimersByTimeAsync(2_500);
    expect(browser.peer.restarts).toBe(1);
    expect(browser.server.requests("offer").at(-1)).toMatchObject({ restart: true, sdp: "offer 2" });
    browser.peer.ice("connected");
    expect(room.media).toBe("connected");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.server.requests("offer")).toHaveLength(2);
  });

  it("leaves a short gap alone", async () => {
    browser.peer.ice("disconnected");
    await vi.advanceTimersByTimeAsync(1_000);
    browser.peer.ice("connected");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.server.requests("offer")).toHaveLength(1);
  });

  it("makes a new peer when ICE restarts do not help", async () => {
    browser.peer.ice("disconnected");
    browser.peer.ice("failed");
    await vi.advanceTimersByTimeAsync(35_000);
    expect(browser.server.requests("offer").map(({ restart }) => restart)).toEqual([
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(browser.peers.map(({ closed }) => closed)).toEqual([true, false]);
    browser.peer.ice("connected");
    expect(room.media).toBe("connected");
  });

  it("is told as interrupted when it does not come at all", async () => {
    browser.server.socket.say({ type: "media.lost" });
    await vi.advanceTimersByTimeAsync(9_000);
    expect(room.media).toBe("connecting");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(room.media).toBe("interrupted");
  });

  it("makes a new peer at once when DTLS failed, and watches the same videos again", async () => {
    const tracks = { microphone: true, camera: true, screen: false };
    browser.server.socket.say({ type: "participant.updated", participant: person("ada", { tracks }) });
    room.watch("ada", "camera");
    await vi.advanceTimersByTimeAsync(0);
    browser.peer.dtlsFails();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(browser.peers).toHaveLength(2);
    expect(browser.server.requests("offer").at(-1)).toMatchObject({ restart: false });
    expect(browser.server.requests("subscribe")).toHaveLength(2);
    expect(room.videoTrack("ada", "camera")).toBe(browser.peer.transceivers[7]?.receiver.track);
  });

  it("makes a new peer when the media server says it lost us", async () => {
    browser.server.socket.say({ type: "media.lost" });
    await vi.advanceTimersByTimeAsync(0);
    expect(browser.server.requests("offer").map(({ restart }) => restart)).toEqual([false, false]);
    expect(browser.peer.sent(0)).toBe(browser.tracks[0]);
  });

  it("offers a new peer, with waits, until the server takes it", async () => {
    const errors: string[] = [];
    room.on("error", ({ code }) => errors.push(code));
    const { offer } = browser.server.answers;
    browser.server.refuse("offer", "unavailable");
    browser.server.socket.say({ type: "media.lost" });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(errors.length).toBeGreaterThan(1);
    if (offer) browser.server.answers.offer = offer;
    await vi.advanceTimersByTimeAsync(8_000);
    browser.peer.ice("connected");
    expect(room.media).toBe("connected");
  });

  it("waits for the server while the socket is lost too, then restarts ICE", async () => {
    browser.server.reachable = false;
    browser.server.socket.drop();
    browser.peer.ice("disconnected");
    browser.peer.ice("failed");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(browser.server.requests("offer")).toHaveLength(1);
    browser.server.reachable = true;
    browser.goOnline();
    await vi.advanceTimersByTimeAsync(0);
    expect(browser.server.requests("resume")).toHaveLength(1);
    expect(browser.server.requests("offer").at(-1)).toMatchObject({ restart: true });
  });
});
