import { describe, expect, it } from "vitest";
import { Speaking } from "../src/model/speaking.js";

const loud = { participant: "ada", level: -25 };
const hiss = { participant: "line", level: -72 };

describe("Speaking", () => {
  it("shows those who are loud, not those whose line hisses", () => {
    const { speaking, askAt } = new Speaking().handle([loud, hiss], 1_000);
    expect([...speaking]).toEqual(["ada"]);
    expect(askAt).toBeNull();
  });

  it("holds over a gap between words, and says when to look again", () => {
    const state = new Speaking();
    state.handle([loud], 1_000);
    expect(state.handle([], 1_200)).toEqual({ speaking: new Set(["ada"]), askAt: 1_600 });
    expect(state.at(1_600, [])).toEqual({ speaking: new Set(), askAt: null });
  });

  it("keeps someone who goes on speaking without further news", () => {
    const state = new Speaking();
    state.handle([loud], 1_000);
    expect(state.at(9_000, [loud])).toEqual({ speaking: new Set(["ada"]), askAt: null });
  });
});
