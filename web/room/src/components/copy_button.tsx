import { useSignal } from "@preact/signals";
import { Button } from "./button.js";

/** Copies `text`, and says so on itself for a moment. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const state = useSignal<"idle" | "copied" | "failed">("idle");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      state.value = "copied";
    } catch {
      state.value = "failed";
    }
    setTimeout(() => {
      state.value = "idle";
    }, 2_000);
  };
  const words = { idle: label, copied: "Copied", failed: "Copying is not allowed here" }[state.value];
  return (
    <Button icon={state.value === "copied" ? "check" : "copy"} onClick={() => void copy()}>
      <span aria-live="polite">{words}</span>
    </Button>
  );
}
