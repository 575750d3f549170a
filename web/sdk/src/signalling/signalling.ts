import { type Backoff, waitBefore } from "../backoff.js";
import type { Environment } from "../environment.js";
import { asDialroomError, DialroomError } from "../errors.js";
import { Emitter } from "../events.js";
import type { EndReason } from "../values.js";
import { type Joined, joinedFrom, type ServerEvent } from "../wire.js";
import { Channel } from "./channel.js";

export type SignallingState = "connecting" | "connected" | "reconnecting" | "ended";

export interface SignallingEvents {
  state: SignallingState;
  /** We are in the room: for the first time, again after a lost socket (`resumed`), or anew. */
  joined: Joined;
  event: ServerEvent;
  ended: { readonly reason: EndReason; readonly error: DialroomError | null };
}

/** A join token, or what fetches a fresh one for each time we have to join anew. */
export type TokenSource = string | (() => Promise<string>);

export interface SignallingOptions {
  /** `wss://…/api/socket`. */
  readonly url: string;
  readonly token: TokenSource;
  readonly name?: string | undefined;
}

const RECONNECT: Backoff = { first: 400, most: 4_000 };
const STABLE_AFTER = 15_000;
const GIVE_UP_AFTER = 5 * 60_000;
const LEAVE_TIMEOUT = 1_000;
const CLOSED_LEFT = 1000;
const CLOSED_ENDED = 4000;
const CLOSED_TOKEN = 4001;
const CLOSED_FLOOD = 4008;
/** Server answers after which another try is worthwhile. */
const PASSING = new Set([
  "server_error",
  "internal",
  "unavailable",
  "store_unavailable",
  "media_unavailable",
  "too_many_attempts",
  "too_many_connections",
]);

/**
 * Our place in the room as the server sees it, over as many sockets as it takes.
 *
 *     connecting ──joined──▶ connected ──socket lost──▶ reconnecting ──resumed or joined anew──▶ connected
 *         │                      │                           │
 *         └──────── refused ─────┴──── left, ended ──────────┴── refused, lost for 5 min ──▶ ended
 */
export class Signalling extends Emitter<SignallingEvents> {
  readonly #environment: Environment;
  readonly #options: SignallingOptions;
  #state: SignallingState = "connecting";
  #channel: Channel | null = null;
  #movedToken: string | null = null;
  #resumeToken = "";
  #refusedAtClose = false;
  #floods = 0;
  #attempt = 0;
  #connectedAt = 0;
  #wake: (() => void) | null = null;

  constructor(environment: Environment, options: SignallingOptions) {
    super();
    this.#environment = environment;
    this.#options = options;
  }

  get state(): SignallingState {
    return this.#state;
  }

  /** @throws DialroomError why the server cannot be reached or does not let us in; it is not tried again. */
  async start(): Promise<Joined> {
    try {
      return await this.#enter();
    } catch (error) {
      this.#setState("ended");
      throw asDialroomError(error);
    }
  }

  /** @throws DialroomError with the server's code; `connection_lost` while reconnecting. */
  request(type: string, fields: object = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#channel?.request(type, fields) ?? Promise.reject(DialroomError.connectionLost());
  }

  /** Tells the server that we go, so that nobody waits for us to come back. */
  async leave(): Promise<void> {
    if (this.#state === "ended") return;
    const channel = this.#channel;
    this.#finish("left", null, { close: false });
    await channel?.request("leave", {}, LEAVE_TIMEOUT).catch(() => undefined);
    channel?.close();
  }

  async #enter(): Promise<Joined> {
    if (this.#resumeToken) {
      try {
        return await this.#greet("resume", { resume_token: this.#resumeToken });
      } catch (error) {
        if (!(error instanceof DialroomError) || error.reason === "network" || PASSING.has(error.code))
          throw error;
        this.#resumeToken = "";
      }
    }
    const source = this.#movedToken ?? this.#options.token;
    const token = typeof source === "string" ? source : await source();
    return this.#greet("join", { token, ...(this.#options.name ? { name: this.#options.name } : {}) });
  }

  async #greet(type: "join" | "resume", fields: object): Promise<Joined> {
    this.#refusedAtClose = false;
    const channel: Channel = await Channel.open(this.#environment, this.#options.url, {
      event: (event) => this.#handleEvent(event),
      closed: (code) => this.#handleClosed(channel, code),
    });
    try {
      const joined = joinedFrom(await channel.request(type, fields));
      if (this.#state === "ended") throw DialroomError.connectionLost();
      this.#channel = channel;
      this.#resumeToken = joined.resumeToken;
      this.#connectedAt = Date.now();
      this.#setState("connected");
      this.emit("joined", joined);
      return joined;
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  #handleEvent(event: ServerEvent): void {
    if (event.type === "moved") {
      this.#movedToken = event.token;
      this.#resumeToken = "";
    }
    if (event.type !== "ended") {
      this.emit("event", event);
    } else if (event.reason === "moved" && this.#movedToken !== null) {
      this.#drop();
      void this.#reconnect({ atOnce: true });
    } else {
      this.#finish(event.reason === "moved" ? "ended" : event.reason, null);
    }
  }

  #handleClosed(channel: Channel, code: number): void {
    this.#refusedAtClose = code === CLOSED_TOKEN;
    if (channel !== this.#channel) return;
    this.#channel = null;
    if (code === CLOSED_LEFT) return this.#finish("left", null);
    if (code === CLOSED_ENDED) return this.#finish("ended", null);
    if (code === CLOSED_TOKEN) return this.#finish("refused", null);
    if (code === CLOSED_FLOOD && ++this.#floods > 1) return this.#finish("lost", null);
    void this.#reconnect({ atOnce: false });
  }

  async #reconnect({ atOnce }: { atOnce: boolean }): Promise<void> {
    this.#setState("reconnecting");
    const started = Date.now();
    // A server that takes us in only to fail again is not to be met by ever the same short wait.
    if (started - this.#connectedAt > STABLE_AFTER) this.#attempt = 0;
    for (let first = true; ; first = false) {
      if (!first || !atOnce) {
        await this.#pause(waitBefore(this.#attempt++, RECONNECT, this.#environment.random()));
      }
      if (this.#state !== "reconnecting") return;
      try {
        await this.#enter();
        return;
      } catch (caught) {
        if (this.state === "ended") return;
        const error = asDialroomError(caught);
        if (this.#refusedAtClose || this.#isFinal(error)) return this.#finish("refused", error);
        if (Date.now() - started > GIVE_UP_AFTER) return this.#finish("lost", error);
      }
    }
  }

  #isFinal(error: DialroomError): boolean {
    return error.reason !== "network" && !PASSING.has(error.code) && error.code !== "unexpected";
  }

  /** Waits; a network that is back, or our leaving, cuts it short. */
  #pause(time: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        stop();
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(wake, time);
      const stop = this.#environment.onOnline(wake);
      this.#wake = wake;
    });
  }

  #finish(reason: EndReason, error: DialroomError | null, { close = true } = {}): void {
    if (this.#state === "ended") return;
    if (close) this.#drop();
    this.#channel = null;
    this.#setState("ended");
    this.#wake?.();
    this.emit("ended", { reason, error });
  }

  #drop(): void {
    const channel = this.#channel;
    this.#channel = null;
    channel?.close();
  }

  #setState(state: SignallingState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.emit("state", state);
  }
}
