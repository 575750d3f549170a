import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Panel } from "../src/panels/panel.js";

let root: HTMLElement;
let opener: HTMLButtonElement;
let other: HTMLButtonElement;

beforeEach(() => {
  [opener, other, root] = ["button", "button", "div"].map((tag) => document.createElement(tag)) as [
    HTMLButtonElement,
    HTMLButtonElement,
    HTMLElement,
  ];
  document.body.append(opener, other, root);
});

afterEach(() => {
  render(null, root);
  document.body.replaceChildren();
});

const show = (title: string | null): Promise<void> =>
  act(() => {
    const panel = title && (
      <Panel key={title} title={title} testId="panel" onClose={() => {}}>
        <button type="button">Inside</button>
      </Panel>
    );
    render(panel, root);
  });

it("takes the focus, and gives it back to the button that opened it", async () => {
  opener.focus();
  await show("People");
  expect(document.activeElement?.textContent).toBe("People");
  root.querySelector<HTMLElement>(".panel-body button")?.focus();
  await show(null);
  expect(document.activeElement).toBe(opener);
});

it("leaves the focus on the button of the panel that takes its place", async () => {
  opener.focus();
  await show("People");
  other.focus();
  await show("Settings");
  expect(document.activeElement?.textContent).toBe("Settings");
  await show(null);
  expect(document.activeElement).toBe(other);
});
