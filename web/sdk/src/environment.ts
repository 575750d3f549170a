/** What the SDK needs of a browser; tests bring their own. */
export interface Environment {
  openSocket(url: string): Socket;
  createPeerConnection(configuration: RTCConfiguration): RTCPeerConnection;
  /** Missing where the page was not opened over HTTPS. */
  readonly mediaDevices: MediaDevices | undefined;
  createAudioElement(): HTMLAudioElement;
  /** In [0, 1). */
  random(): number;
  /** Calls `listener` when the network is back, until the returned function is called. */
  onOnline(listener: () => void): () => void;
}

/** The part of a `WebSocket` that is used. */
export interface Socket {
  send(data: string): void;
  close(code?: number): void;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: { readonly data: unknown }) => unknown) | null;
  onclose: ((event: { readonly code: number }) => unknown) | null;
}

export const browser: Environment = {
  openSocket: (url) => new WebSocket(url) as Socket,
  createPeerConnection: (configuration) => new RTCPeerConnection(configuration),
  get mediaDevices() {
    return navigator.mediaDevices as MediaDevices | undefined;
  },
  createAudioElement: () => document.createElement("audio"),
  random: () => Math.random(),
  onOnline(listener) {
    window.addEventListener("online", listener);
    return () => window.removeEventListener("online", listener);
  },
};
