import { describe, expect, it } from "vitest";
import { waitBefore } from "../src/backoff.js";

describe("waitBefore", () => {
  const backoff = { first: 400, most: 10_000 };

  it("doubles its bound with each attempt, up to the most", () => {
    const longest = [0, 1, 2, 3, 4, 5, 6, 100].map((attempt) => waitBefore(attempt, backoff, 0.999999));
    expect(longest).toEqual([400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
  });

  it("spreads clients over the whole time, but never tries again at once", () => {
    expect(waitBefore(3, backoff, 0)).toBe(320);
    expect(waitBefore(3, backoff, 0.5)).toBe(1760);
  });
});
