import type { Toasts } from "../model/toasts.js";
import { Icon } from "./icon.js";

/** Read out as they come; the region is always there, for only then screen readers notice. */
export function ToastList({ toasts }: { toasts: Toasts }) {
  return (
    <div class="toasts" role="status" aria-live="polite" data-testid="toasts">
      {toasts.list.value.map(({ id, text, kind }) => (
        <div key={id} class={`toast ${kind === "problem" ? "failure" : ""}`}>
          {kind === "problem" && <Icon name="warning" size={18} />}
          <span>{text}</span>
          <button type="button" aria-label="Dismiss" onClick={() => toasts.dismiss(id)}>
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
    </div>
  );
}
