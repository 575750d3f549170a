import { describe, expect, it } from "vitest";
import { layout } from "../src/model/layout.js";

const DESKTOP = { width: 1240, height: 650 };
const PHONE = { width: 366, height: 690 };

describe("layout", () => {
  it.each([
    [1, 1],
    [2, 2],
    [4, 2],
    [5, 3],
    [9, 3],
    [12, 4],
  ])("puts %i tiles of a desktop window into %i columns", (count, columns) => {
    expect(layout(count, DESKTOP, 12).columns).toBe(columns);
  });

  it.each([
    [1, 1],
    [2, 1],
    [4, 2],
    [6, 2],
  ])("puts %i tiles of an upright phone into %i columns", (count, columns) => {
    expect(layout(count, PHONE, 12).columns).toBe(columns);
  });

  it("fits all tiles into the area while they are large enough", () => {
    for (let count = 1; count <= 20; count++) {
      const { columns, width, height } = layout(count, DESKTOP, 12);
      const rows = Math.ceil(count / columns);
      expect(columns * width + 12 * (columns - 1)).toBeLessThanOrEqual(DESKTOP.width);
      expect(rows * height + 12 * (rows - 1)).toBeLessThanOrEqual(DESKTOP.height);
    }
  });

  it("rather scrolls than making tiles too small to see", () => {
    const { columns, width, height } = layout(40, PHONE, 12);
    expect(columns).toBe(2);
    expect(width).toBeGreaterThanOrEqual(150);
    expect(height).toBeGreaterThanOrEqual(112);
  });

  it("has an answer for a window that has no size yet", () => {
    expect(layout(3, { width: 0, height: 0 }, 12)).toMatchObject({ columns: 1, width: 0 });
  });
});
