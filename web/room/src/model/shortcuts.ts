/** Single keys, where nothing is being typed. */
export type Shortcut = "m" | "v" | "s" | "h";

const SHORTCUTS: ReadonlySet<string> = new Set<Shortcut>(["m", "v", "s", "h"]);

/** What a key asks for, if anything. */
export function shortcutOf(event: KeyboardEvent): Shortcut | null {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return null;
  const key = event.key.toLowerCase();
  return SHORTCUTS.has(key) ? (key as Shortcut) : null;
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("input:not([type=checkbox]), select, textarea"))
  );
}
