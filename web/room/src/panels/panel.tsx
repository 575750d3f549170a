import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "../components/icon.js";
import { useKeyboardScroll } from "../components/keyboard_scroll.js";

interface PanelProps {
  title: string;
  testId: string;
  onClose(): void;
  children: ComponentChildren;
}

/** A sheet at the side, or at the bottom of a small screen. Has the focus when it opens, gives it back; Esc closes it. */
export function Panel({ title, testId, onClose, children }: PanelProps) {
  const panel = useRef<HTMLElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const headingId = useId();
  useKeyboardScroll(body);
  useEffect(() => {
    const closeOnEscape = ({ key }: KeyboardEvent): void => {
      if (key === "Escape" && !document.querySelector("dialog[open]")) onClose();
    };
    window.addEventListener("keydown", closeOnEscape);
    return () => window.removeEventListener("keydown", closeOnEscape);
  }, [onClose]);
  useEffect(() => {
    const before = document.activeElement;
    heading.current?.focus();
    return () => {
      // Not when it was put elsewhere meanwhile: on the button of the panel that takes this one's place.
      const { activeElement } = document;
      const had = activeElement === document.body || panel.current?.contains(activeElement);
      if (had && before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <aside ref={panel} class="panel" aria-labelledby={headingId} data-testid={testId}>
      <div class="panel-head">
        <h2 id={headingId} ref={heading} tabIndex={-1}>
          {title}
        </h2>
        <button type="button" class="close" aria-label={`Close ${title}`} onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div ref={body} class="panel-body">
        {children}
      </div>
    </aside>
  );
}
