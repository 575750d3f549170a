import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "./button.js";

interface ConfirmProps {
  title: string;
  detail: string;
  action: string;
  testId: string;
  onConfirm(): void;
  onClose(): void;
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, detail, action, testId, onConfirm, onClose }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="confirm" aria-labelledby={titleId} onClose={onClose}>
      <h2 id={titleId}>{title}</h2>
      <p>{detail}</p>
      <div class="actions">
        <Button onClick={() => dialog.current?.close()}>Cancel</Button>
        <Button
          tone="danger"
          testId={testId}
          onClick={() => {
            onConfirm();
            dialog.current?.close();
          }}
        >
          {action}
        </Button>
      </div>
    </dialog>
  );
}
