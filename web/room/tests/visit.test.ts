import { DialroomError, type EndReason, join, LocalMedia, type Room } from "dialroom";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Visit } from "../src/model/visit.js";

vi.mock(import("dialroom"), async (original) => ({ ...(await original()), join: vi.fn() }));

const joining = vi.mocked(join);
let answers: Record<string, () => { status: number; body: unknown }>;
let asked: { path: string; body: unknown }[];

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
  sessionStorage.clear();
  joining.mockReset();
  asked = [];
  answers = {
    "/api/pages/standup": () => ({
      status: 200,
      body: { room: { name: "Standup", locked: false, dial_in: null } },
    }),
    "/api/pages/standup/token": () => ({ status: 201, body: { token: "token-1" } }),
  };
  vi.stubGlobal("fetch", async (path: string, { body }: { body?: string }) => {
    asked.push({ path, body: body === undefined ? null : JSON.parse(body) });
    const answer = answers[path]?.();
    if (!answer) throw new TypeError("no network");
    return { ok: answer.status < 400, status: answer.status, json: async () => answer.body };
  });
  vi.spyOn(LocalMedia.prototype, "start").mockResolvedValue({});
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const arrive = async (hostKey = ""): Promise<Visit> => {
  const visit = new Visit({ slug: "standup", hostKey });
  await visit.load();
  visit.name.value = "Ada";
  return visit;
};

const refusal = (code: string): DialroomError => DialroomError.fromProblem({ code, title: "No", fix: "do" });

/** A room that can be ended. */
function fakeRoom(): { room: Room; end(reason: EndReason): void; left: () => boolean } {
  const ends: ((value: unknown) => void)[] = [];
  let left = false;
  const room = {
    info: { name: "Standup" },
    me: { id: "me" },
    participants: [],
    local: { state: {}, devices: {}, on: () => () => {} },
    on: (event: string, listener: (value: unknown) => void) => {
      if (event === "ended") ends.push(listener);
      return () => {};
    },
    leave: async () => {
      left = true;
    },
  };
  return {
    room: room as unknown as Room,
    end: (reason) => {
      for (const end of ends) end({ reason, error: null });
    },
    left: () => left,
  };
}

describe("coming to the page", () => {
  it("shows the door of the room", async () => {
    const visit = await arrive();
    expect(visit.view.value).toEqual({ at: "prejoin", error: null });
    expect(visit.preview.value?.name).toBe("Standup");
  });

  it("says that there is no such room", async () => {
    answers["/api/pages/standup"] = () => ({ status: 404, body: { code: "not_found", title: "Not found" } });
    const visit = await arrive();
    expect(visit.view.value).toMatchObject({ at: "unavailable", error: { code: "not_found" } });
  });

  it("says that the server cannot be reached, and can try again", async () => {
    const { "/api/pages/standup": page } = answers;
    delete answers["/api/pages/standup"];
    const visit = await arrive();
    expect(visit.view.value).toMatchObject({ at: "unavailable", error: { code: "connection_lost" } });
    if (page) answers["/api/pages/standup"] = page;
    await visit.load();
    expect(visit.view.value.at).toBe("prejoin");
  });

  it("survives an error page that is no problem+json", async () => {
    answers["/api/pages/standup"] = () => ({ status: 502, body: "<html>" });
    const visit = await arrive();
    expect(visit.view.value).toMatchObject({ at: "unavailable", error: { code: "server_error" } });
  });

  it("opens the devices as they were left the last time, and tells which failed", async () => {
    localStorage.setItem("dialroom.camera.on", "no");
    const problem = refusal("permission_denied");
    const start = vi.spyOn(LocalMedia.prototype, "start").mockResolvedValue({ microphone: problem });
    const visit = await arrive();
    expect(start).toHaveBeenCalledWith({ microphone: true, camera: false });
    expect(visit.problems.value).toEqual({ microphone: problem });
  });
});

describe("joining", () => {
  it("draws a token for the name, as a host with the host's key, and as the same person each time", async () => {
    joining.mockImplementation(async ({ token }) => {
      if (typeof token === "function") await token();
      throw refusal("room_full");
    });
    const visit = await arrive("key-1");
    await visit.join();
    await visit.join();
    const drawn = asked
      .filter(({ path }) => path.endsWith("/token"))
      .map(({ body }) => body as { identity: string });
    expect(drawn).toMatchObject([{ name: "Ada", host_key: "key-1" }, { name: "Ada" }]);
    expect(drawn[0]?.identity).toBe(drawn[1]?.identity);
    expect(localStorage.getItem("dialroom.name")).toBe("Ada");
  });

  it.each(["room_locked", "room_full", "room_ended", "token_refused"])(
    "explains %s at the door",
    async (code) => {
      joining.mockRejectedValue(refusal(code));
      const visit = await arrive();
      await visit.join();
      expect(visit.view.value).toMatchObject({ at: "prejoin", error: { code } });
    },
  );

  it("waits for a session that has not started, and goes in when it has", async () => {
    joining.mockRejectedValueOnce(refusal("room_not_open")).mockRejectedValueOnce(refusal("room_not_open"));
    const { room } = fakeRoom();
    joining.mockResolvedValueOnce(room);
    const visit = await arrive();
    await visit.join();
    expect(visit.view.value.at).toBe("waiting");
    await vi.advanceTimersByTimeAsync(4_000);
    expect(visit.view.value.at).toBe("waiting");
    await vi.advanceTimersByTimeAsync(4_000);
    expect(visit.view.value.at).toBe("room");
    expect(window.dialroom).toBe(room);
  });

  it("waits no more when told so", async () => {
    joining.mockRejectedValue(refusal("room_not_open"));
    const visit = await arrive();
    await visit.join();
    visit.cancelWaiting();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(joining).toHaveBeenCalledOnce();
    expect(visit.view.value.at).toBe("prejoin");
  });

  it("leaves a room it got into after the waiting was called off", async () => {
    const { room, left } = fakeRoom();
    let letIn = (_: Room): void => {};
    joining.mockRejectedValueOnce(refusal("room_not_open"));
    joining.mockImplementationOnce(() => new Promise((resolve) => (letIn = resolve)));
    const visit = await arrive();
    await visit.join();
    await vi.advanceTimersByTimeAsync(4_000);
    visit.cancelWaiting();
    letIn(room);
    await vi.advanceTimersByTimeAsync(0);
    expect(left()).toBe(true);
    expect(visit.view.value.at).toBe("prejoin");
  });
});

describe("the end of a visit", () => {
  it.each(["left", "removed", "ended", "lost"] as const)("says that one has %s", async (reason) => {
    const { room, end } = fakeRoom();
    joining.mockResolvedValue(room);
    const visit = await arrive();
    await visit.join();
    visit.toasts.say("Ben joined");
    end(reason);
    expect(visit.view.value).toEqual({ at: "over", reason, error: null });
    expect(visit.toasts.list.value).toEqual([]);
  });

  it("leaves the room when the page is closed, but not when it is only put aside", async () => {
    const { room, left } = fakeRoom();
    joining.mockResolvedValue(room);
    const visit = await arrive();
    await visit.join();
    const hide = (persisted: boolean) =>
      window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted }));
    hide(true);
    expect(left()).toBe(false);
    hide(false);
    expect(left()).toBe(true);
  });
});
