import type { Environment, Socket } from "../src/environment.js";

type Message = Record<string, unknown>;
type Answer = (message: Message) => Message | null;

/** The server's end of one WebSocket. */
export class FakeSocket implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  readonly received: Message[] = [];
  closedWith: number | null = null;
  readonly #server: FakeServer;

  constructor(server: FakeServer) {
    this.#server = server;
  }

  send(data: string): void {
    const message = JSON.parse(data) as Message;
    this.received.push(message);
    const answer = this.#server.answer(message);
    if (answer) queueMicrotask(() => this.say({ id: message.id, ...answer }));
  }

  close(code = 1000): void {
    this.closedWith = code;
  }

  /** Something the server says. */
  say(message: Message): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The connection breaks, or the server closes it. */
  drop(code = 1006): void {
    this.onclose?.({ code });
  }

  requests(type: string): Message[] {
    return this.received.filter((message) => message.type === type);
  }
}

export const person = (id: string, fields: Message = {}): Message => ({
  id,
  identity: id,
  name: id,
  kind: "web",
  role: "guest",
  muted: false,
  hand_raised: false,
  tracks: { microphone: true, camera: false, screen: false },
  phone_number: null,
  connected: true,
  joined_at: "2026-01-01T10:00:00Z",
  ...fields,
});

export const ROOM: Message = {
  id: "room_1",
  name: "Standup",
  locked: false,
  language: "en",
  join_url: "https://example.com/r/standup",
  dial_in: null,
};

/** Answers what a real one would, unless told otherwise. */
export class FakeServer {
  readonly sockets: FakeSocket[] = [];
  /** While false, sockets do not open. */
  reachable = true;
  participants: Message[] = [person("me"), person("ada")];
  room = ROOM;
  readonly answers: Record<string, Answer> = {
    join: () => this.joined(false),
    resume: () => this.joined(true),
    offer: (offer) => ({ type: "ok", sdp: `answer to ${String(offer.sdp)}` }),
  };

  open(): FakeSocket {
    const socket = new FakeSocket(this);
    this.sockets.push(socket);
    queueMicrotask(() => {
      if (this.reachable) socket.onopen?.(undefined as never);
      else socket.drop();
    });
    return socket;
  }

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (!last) throw new Error("no socket was opened");
    return last;
  }

  answer(message: Message): Message | null {
    const own = this.answers[String(message.type)];
    return own ? own(message) : { type: "ok" };
  }

  refuse(type: string, code: string, title = "No"): void {
    this.answers[type] = () => ({ type: "error", error: { code, title, detail: "because", fix: "do" } });
  }

  joined(resumed: boolean): Message {
    return {
      type: "ok",
      participant: this.participants[0],
      session: "sess_1",
      room: this.room,
      participants: this.participants,
      resume_token: "resume-1",
      ice_servers: [{ urls: ["turn:turn.example.com"], username: "u", credential: "c" }],
      resumed,
    };
  }

  /** All of a type, over all sockets. */
  requests(type: string): Message[] {
    return this.sockets.flatMap((socket) => socket.requests(type));
  }
}

export class FakeTrack {
  enabled = true;
  contentHint = "";
  onended: (() => void) | null = null;
  stopped = false;
  readonly kind: string;
  readonly deviceId: string;

  constructor(kind: string, deviceId = `${kind}-default`) {
    this.kind = kind;
    this.deviceId = deviceId;
  }

  getSettings(): { deviceId: string } {
    return { deviceId: this.deviceId };
  }

  stop(): void {
    this.stopped = true;
  }

  /** The device was unplugged, or the screen's own stop button pressed. */
  end(): void {
    this.onended?.();
  }
}

class FakeTransceiver {
  mid: string | null = null;
  readonly receiver: { track: FakeTrack };
  readonly sender: { track: FakeTrack | null; replaceTrack(track: FakeTrack | null): Promise<void> };
  readonly kind: string;
  readonly direction: string;

  constructor(kind: string, direction: string) {
    this.kind = kind;
    this.direction = direction;
    this.receiver = { track: new FakeTrack(kind) };
    this.sender = {
      track: null,
      async replaceTrack(track) {
        this.track = track;
      },
    };
  }
}

export class FakePeerConnection {
  readonly transceivers: FakeTransceiver[] = [];
  readonly configuration: RTCConfiguration;
  connectionState = "new";
  iceConnectionState = "new";
  localDescription: { sdp: string } | null = null;
  remote: string[] = [];
  restarts = 0;
  closed = false;
  onconnectionstatechange: (() => void) | null = null;
  oniceconnectionstatechange: (() => void) | null = null;

  constructor(configuration: RTCConfiguration) {
    this.configuration = configuration;
  }

  addTransceiver(kind: string, { direction }: { direction: string }): FakeTransceiver {
    const transceiver = new FakeTransceiver(kind, direction);
    this.transceivers.push(transceiver);
    return transceiver;
  }

  restartIce(): void {
    this.restarts++;
  }

  async createOffer(): Promise<{ sdp: string }> {
    return { sdp: `offer ${this.remote.length + 1}` };
  }

  async setLocalDescription(description: { sdp: string }): Promise<void> {
    this.localDescription = description;
    this.transceivers.forEach((transceiver, index) => {
      transceiver.mid = String(index);
    });
  }

  async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    this.remote.push(sdp);
  }

  async getStats(): Promise<Map<string, unknown>> {
    return new Map();
  }

  close(): void {
    this.closed = true;
  }

  ice(state: "connected" | "disconnected" | "failed" | "checking"): void {
    this.iceConnectionState = state;
    if (state === "connected") this.connectionState = "connected";
    this.oniceconnectionstatechange?.();
  }

  dtlsFails(): void {
    this.connectionState = "failed";
    this.onconnectionstatechange?.();
  }

  sent(index: number): FakeTrack | null {
    return this.transceivers[index]?.sender.track ?? null;
  }
}

/** A browser in which everything is allowed until it is forbidden. */
export class FakeBrowser implements Environment {
  readonly server = new FakeServer();
  readonly peers: FakePeerConnection[] = [];
  readonly tracks: FakeTrack[] = [];
  readonly sounds: HTMLAudioElement[] = [];
  readonly asked: MediaStreamConstraints[] = [];
  /** The name of the error that opening a device gives. */
  forbidden: { audio?: string; video?: string; screen?: string } = {};
  devices: { kind: string; deviceId: string; label: string }[] = [];
  autoplay = true;
  readonly listeners = new Map<string, Set<() => void>>();
  readonly #online = new Set<() => void>();

  openSocket(): Socket {
    return this.server.open();
  }

  createPeerConnection(configuration: RTCConfiguration): RTCPeerConnection {
    const peer = new FakePeerConnection(configuration);
    this.peers.push(peer);
    return peer as unknown as RTCPeerConnection;
  }

  get peer(): FakePeerConnection {
    const last = this.peers.at(-1);
    if (!last) throw new Error("no peer connection was made");
    return last;
  }

  readonly mediaDevices = {
    getUserMedia: async (constraints: MediaStreamConstraints) => {
      this.asked.push(constraints);
      return streamOf([
        ...(constraints.audio ? [this.#capture("audio", constraints.audio)] : []),
        ...(constraints.video ? [this.#capture("video", constraints.video)] : []),
      ]);
    },
    getDisplayMedia: async () => {
      if (this.forbidden.screen) throw new DOMException("no", this.forbidden.screen);
      return streamOf([this.#keep(new FakeTrack("video", "screen"))]);
    },
    enumerateDevices: async () => this.devices,
    addEventListener: (name: string, listener: () => void) => {
      this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(listener));
    },
    removeEventListener: (name: string, listener: () => void) => this.listeners.get(name)?.delete(listener),
  } as unknown as MediaDevices;

  createAudioElement(): HTMLAudioElement {
    const element = {
      srcObject: null,
      autoplay: false,
      play: async () => {
        if (!this.autoplay) throw new DOMException("no click yet", "NotAllowedError");
      },
    } as unknown as HTMLAudioElement;
    this.sounds.push(element);
    return element;
  }

  random(): number {
    return 0.5;
  }

  onOnline(listener: () => void): () => void {
    this.#online.add(listener);
    return () => this.#online.delete(listener);
  }

  get waitingForNetwork(): number {
    return this.#online.size;
  }

  goOnline(): void {
    for (const listener of [...this.#online]) listener();
  }

  #capture(kind: "audio" | "video", wanted: boolean | MediaTrackConstraints): FakeTrack {
    const error = this.forbidden[kind];
    if (error) throw new DOMException("no", error);
    const exact =
      typeof wanted === "object" ? (wanted.deviceId as { exact?: string } | undefined)?.exact : undefined;
    if (exact === "gone") throw new DOMException("no", "OverconstrainedError");
    return this.#keep(new FakeTrack(kind, exact));
  }

  #keep(track: FakeTrack): FakeTrack {
    this.tracks.push(track);
    return track;
  }
}

function streamOf(tracks: FakeTrack[]): unknown {
  return { getTracks: () => tracks, getVideoTracks: () => tracks };
}
