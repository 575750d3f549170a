/** Which room the page's address names, and the host's key if it carries one. */
export interface Address {
  readonly slug: string;
  readonly hostKey: string;
}

/** `null` for an address that names no room. */
export function parseAddress({ pathname, hash }: { pathname: string; hash: string }): Address | null {
  const slug = /^\/r\/([^/]+)\/?$/.exec(pathname)?.[1];
  if (!slug) return null;
  return { slug: decode(slug), hostKey: new URLSearchParams(hash.replace(/^#/, "")).get("host") ?? "" };
}

/** The room someone typed, as a link or as its short name. */
export function slugFrom(typed: string): string {
  const trimmed = typed.trim();
  return decode(/\/r\/([^/?#]+)/.exec(trimmed)?.[1] ?? trimmed.replace(/^.*\//, ""));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Takes the host's key out of the address bar, so that a host who copies it does not give the key away, and keeps it
 * for a reload of this tab.
 */
export function keepHostKey(address: Address): Address {
  const key = `dialroom.host.${address.slug}`;
  if (address.hostKey) {
    remember(sessionStorage, key, address.hostKey);
    history.replaceState(null, "", location.pathname + location.search);
    return address;
  }
  return { ...address, hostKey: recall(sessionStorage, key) };
}

/** Who this tab is in a room; a reload is the same person again. */
export function visitorOf(slug: string): string {
  const key = `dialroom.visitor.${slug}`;
  const known = recall(sessionStorage, key);
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const visitor = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  remember(sessionStorage, key, visitor);
  return visitor;
}

/** What the person chose the last time. Browsers may forbid storage; then nothing is remembered. */
export function recall(storage: Storage, key: string): string {
  try {
    return storage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

export function remember(storage: Storage, key: string, value: string): void {
  try {
    storage.setItem(key, value);
  } catch {
    // Private windows and full storage: the choice holds for this visit only.
  }
}
