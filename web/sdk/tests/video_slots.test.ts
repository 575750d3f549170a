import { describe, expect, it, vi } from "vitest";
import { DialroomError } from "../src/errors.js";
import { assign, type SlotRequest, VideoSlots, type Wanted } from "../src/media/video_slots.js";

const camera = (participant: string): Wanted => ({ participant, source: "camera" });
const screen = (participant: string): Wanted => ({ participant, source: "screen" });

describe("assign", () => {
  it("leaves what is in place, empties what nobody wants, fills what is free", () => {
    const slots = new Map([
      ["7", camera("ada")],
      ["8", camera("ben")],
      ["9", null],
    ]);
    expect(assign(slots, [camera("ben"), camera("cyd")])).toEqual([["7", camera("cyd")]]);
    expect(assign(slots, [camera("ben")])).toEqual([["7", null]]);
    expect(assign(slots, [camera("ada"), camera("ben")])).toEqual([]);
  });

  it("gives screens a slot before cameras, and the rest in the order of asking", () => {
    const slots = new Map([
      ["7", camera("ada")],
      ["8", camera("ben")],
    ]);
    expect(assign(slots, [camera("ada"), camera("ben"), screen("cyd")])).toEqual([["8", screen("cyd")]]);
  });
});

describe("VideoSlots", () => {
  const setUp = () => {
    const requests: SlotRequest[][] = [];
    const published = new Set(["ada camera", "ben camera", "cyd camera"]);
    let answer: () => Promise<void> = async () => {};
    const slots = new VideoSlots({
      subscribe: async (wanted) => {
        requests.push([...wanted]);
        await answer();
      },
      publishes: (participant, source) => published.has(`${participant} ${source}`),
    });
    slots.handlePeer(["7", "8"]);
    return { slots, requests, published, answerWith: (next: () => Promise<void>) => (answer = next) };
  };

  it("asks once for all that came into view together", async () => {
    const { slots, requests } = setUp();
    slots.want("ada", "camera");
    slots.want("ben", "camera");
    await vi.waitFor(() => expect(slots.midOf("ben", "camera")).toBe("8"));
    expect(requests).toEqual([
      [
        { mid: "7", participant: "ada", source: "camera" },
        { mid: "8", participant: "ben", source: "camera" },
      ],
    ]);
  });

  it("shows nobody in a slot before the server has confirmed it", async () => {
    const { slots, answerWith, requests } = setUp();
    let confirm = (): void => {};
    answerWith(() => new Promise((resolve) => (confirm = resolve)));
    slots.want("ada", "camera");
    await vi.waitFor(() => expect(requests).toHaveLength(1));
    expect(slots.midOf("ada", "camera")).toBeNull();
    confirm();
    await vi.waitFor(() => expect(slots.midOf("ada", "camera")).toBe("7"));
  });

  it("fills a slot that became free with who was waiting", async () => {
    const { slots } = setUp();
    const stop = slots.want("ada", "camera");
    slots.want("ben", "camera");
    slots.want("cyd", "camera");
    await vi.waitFor(() => expect(slots.midOf("ben", "camera")).toBe("8"));
    expect(slots.midOf("cyd", "camera")).toBeNull();
    stop();
    await vi.waitFor(() => expect(slots.midOf("cyd", "camera")).toBe("7"));
    expect(slots.midOf("ada", "camera")).toBeNull();
  });

  it("keeps a video while a second viewer still looks at it", async () => {
    const { slots } = setUp();
    const stop = slots.want("ada", "camera");
    slots.want("ada", "camera");
    await vi.waitFor(() => expect(slots.midOf("ada", "camera")).toBe("7"));
    stop();
    stop();
    await Promise.resolve();
    expect(slots.midOf("ada", "camera")).toBe("7");
  });

  it("frees the slot of a camera that stopped and asks again when it is back", async () => {
    const { slots, requests, published } = setUp();
    slots.want("ada", "camera");
    await vi.waitFor(() => expect(slots.midOf("ada", "camera")).toBe("7"));
    published.delete("ada camera");
    slots.plan();
    await vi.waitFor(() => expect(requests.at(-1)).toEqual([{ mid: "7", participant: null, source: null }]));
    published.add("ada camera");
    slots.plan();
    await vi.waitFor(() => expect(slots.midOf("ada", "camera")).toBe("8"));
  });

  it("asks for everything again on a new peer and after a resumed socket", async () => {
    const { slots, requests } = setUp();
    slots.want("ada", "camera");
    await vi.waitFor(() => expect(slots.midOf("ada", "camera")).toBe("7"));
    slots.handlePeer(["4", "5"]);
    expect(slots.midOf("ada", "camera")).toBeNull();
    await vi.waitFor(() => expect(slots.midOf("ada", "camera")).toBe("4"));
    slots.handleResumed();
    await vi.waitFor(() =>
      expect(requests.at(-1)).toEqual([
        { mid: "5", participant: null, source: null },
        { mid: "4", participant: "ada", source: "camera" },
      ]),
    );
  });

  it("tells a refusal, but not a lost connection, which is mended by resuming", async () => {
    const { slots, answerWith, requests } = setUp();
    const errors: string[] = [];
    slots.on("error", ({ code }) => errors.push(code));
    answerWith(async () => {
      throw DialroomError.connectionLost();
    });
    slots.want("ada", "camera");
    await vi.waitFor(() => expect(requests).toHaveLength(1));
    answerWith(async () => {
      throw DialroomError.fromProblem({ code: "not_found" });
    });
    slots.want("ben", "camera");
    await vi.waitFor(() => expect(errors).toEqual(["not_found"]));
    expect(slots.midOf("ben", "camera")).toBeNull();
  });

  it("asks anew for a refused video when something changes", async () => {
    const { slots, answerWith } = setUp();
    answerWith(async () => {
      throw DialroomError.fromProblem({ code: "not_found" });
    });
    const refused = slots.once("error");
    slots.want("ada", "camera");
    await refused;
    answerWith(async () => {});
    slots.plan();
    await vi.waitFor(() => expect(slots.midOf("ada", "camera")).toBe("8"));
  });
});
