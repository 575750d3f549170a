import { afterEach, expect, it } from "vitest";
import { shortcutOf } from "../src/model/shortcuts.js";
import { Visit } from "../src/model/visit.js";

const pressed = (key: string, how: KeyboardEventInit = {}, at = "button") => {
  const element = document.createElement(at);
  let found: string | null = null;
  element.addEventListener("keydown", (event) => {
    found = shortcutOf(event);
  });
  element.dispatchEvent(new KeyboardEvent("keydown", { key, ...how }));
  return found;
};

afterEach(() => localStorage.clear());

it("takes single keys where nothing is being typed, and leaves the browser its own", () => {
  expect(["m", "V", "s", "h"].map((key) => pressed(key))).toEqual(["m", "v", "s", "h"]);
  expect(pressed("x")).toBeNull();
  expect(pressed("s", { ctrlKey: true })).toBeNull();
  expect(pressed("m", { repeat: true })).toBeNull();
  expect(["input", "select", "textarea"].map((at) => pressed("m", {}, at))).toEqual([null, null, null]);
});

it("takes them right after they were switched on, when the box still has the focus", () => {
  const box = document.createElement("input");
  box.type = "checkbox";
  let found: string | null = null;
  box.addEventListener("keydown", (event) => {
    found = shortcutOf(event);
  });
  box.dispatchEvent(new KeyboardEvent("keydown", { key: "m" }));
  expect(found).toBe("m");
});

it("remembers that somebody wants none", () => {
  const address = { slug: "a", hostKey: "" };
  expect(new Visit(address).singleKeys.value).toBe(true);
  new Visit(address).setSingleKeys(false);
  expect(new Visit(address).singleKeys.value).toBe(false);
});
