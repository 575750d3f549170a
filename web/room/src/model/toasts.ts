import { signal } from "@preact/signals";

export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly kind: "info" | "problem";
}

const SHOWN_FOR = 5_000;
const MOST = 3;

/** Short messages that go away by themselves. */
export class Toasts {
  readonly list = signal<readonly Toast[]>([]);
  #nextId = 1;

  say(text: string, kind: Toast["kind"] = "info"): void {
    const toast = { id: this.#nextId++, text, kind };
    this.list.value = [...this.list.value, toast].slice(-MOST);
    setTimeout(() => this.dismiss(toast.id), kind === "problem" ? 2 * SHOWN_FOR : SHOWN_FOR);
  }

  clear(): void {
    this.list.value = [];
  }

  dismiss(id: number): void {
    this.list.value = this.list.value.filter((toast) => toast.id !== id);
  }
}
