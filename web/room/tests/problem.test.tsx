import { render } from "preact";
import { act } from "preact/test-utils";
import { expect, it } from "vitest";
import { Problem } from "../src/screens/prejoin.js";

const words = async (title: string): Promise<string> => {
  const root = document.createElement("div");
  const error = { code: "x", title, detail: "", fix: "" };
  await act(() => render(<Problem error={error} also="camera" />, root));
  return root.querySelector("strong")?.textContent ?? "";
};

it("names both devices once where both fail for one cause", async () => {
  expect(await words("No microphone was found")).toBe("No microphone or camera was found");
  const both = "The browser allows no microphone or camera on this page";
  expect(await words(both)).toBe(both);
});
