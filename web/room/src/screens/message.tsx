import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Mark } from "../components/mark.js";

interface MessageProps {
  title: string;
  children?: ComponentChildren;
  busy?: boolean;
  testId: string;
  reason?: string;
}

/** A page that says one thing. */
export function Message({ title, children, busy = false, testId, reason }: MessageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <main class="message" data-testid={testId} data-reason={reason}>
      <Mark size={40} />
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      {busy && <span class="spinner" role="status" aria-label="Please wait" />}
      {children}
    </main>
  );
}
