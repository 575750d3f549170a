import { type Backoff, waitBefore } from "../backoff.js";
import { asDialroomError, type DialroomError } from "../errors.js";
import { Emitter } from "../events.js";
import { SOURCES, type Source } from "../values.js";
import type { OfferFields } from "../wire.js";
import { Peer, type PeerState, type Slots } from "./peer.js";

export type MediaState = "idle" | "connecting" | "connected" | "interrupted" | "closed";

export interface MediaConnectionEvents {
  state: MediaState;
  /** A new peer was accepted by the server: its slots are empty. */
  peer: Peer;
  /** A negotiation failed; it is tried again. */
  error: DialroomError;
}

export interface MediaConnectionOptions {
  readonly slots: Slots;
  createPeerConnection(configuration: RTCConfiguration): RTCPeerConnection;
  /** Brings an offer to the server. @throws DialroomError */
  negotiate(offer: OfferFields): Promise<string>;
  /** What we send of a source now. */
  track(source: Source): MediaStreamTrack | null;
  random(): number;
}

/** How long ICE may be disconnected before it is restarted; short gaps heal by themselves. */
const DISCONNECTED_GRACE = 2_500;
/** How long an offer may take until media flows. */
const CONNECT_TIMEOUT = 10_000;
/** After so many ICE restarts in vain a new peer is tried. */
const RESTARTS = 3;
const RETRY: Backoff = { first: 500, most: 8_000 };

/**
 * Keeps media flowing while we are in the room: restarts ICE when it is lost, and makes a new peer when that does not
 * help or the server dropped the old one. One negotiation at a time; none while the server is out of reach.
 */
export class MediaConnection extends Emitter<MediaConnectionEvents> {
  readonly #options: MediaConnectionOptions;
  #iceServers: readonly RTCIceServer[] = [];
  #peer: Peer | null = null;
  #state: MediaState = "idle";
  #reachable = false;
  #negotiating = false;
  #next: "new" | "restart" | null = null;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: MediaConnectionOptions) {
    super();
    this.#options = options;
  }

  get state(): MediaState {
    return this.#state;
  }

  get peer(): Peer | null {
    return this.#peer;
  }

  /** The server answers again. `anew`: it knows no peer of ours. */
  handleReachable(iceServers: readonly RTCIceServer[], anew: boolean): Promise<void> {
    this.#iceServers = iceServers;
    this.#reachable = true;
    this.#attempt = 0;
    if (anew || !this.#peer) return this.#negotiate("new");
    return this.#state === "connected" ? Promise.resolve() : this.#negotiate("restart");
  }

  handleUnreachable(): void {
    this.#reachable = false;
    clearTimeout(this.#timer);
  }

  /** The server's end of our peer is gone. */
  handleLost(): void {
    this.#attempt = 0;
    if (this.#reachable) void this.#negotiate("new");
    else this.#dropPeer();
  }

  async publish(source: Source, track: MediaStreamTrack | null): Promise<void> {
    await this.#peer?.publish(source, track);
  }

  close(): void {
    this.#reachable = false;
    clearTimeout(this.#timer);
    this.#dropPeer();
    this.#setState("closed");
  }

  async #negotiate(how: "new" | "restart"): Promise<void> {
    if (this.#state === "closed") return;
    if (this.#negotiating) {
      this.#next = how === "new" ? "new" : (this.#next ?? "restart");
      return;
    }
    this.#negotiating = true;
    clearTimeout(this.#timer);
    if (this.#state !== "interrupted") this.#setState("connecting");
    try {
      const peer = how === "new" || !this.#peer ? await this.#newPeer() : this.#peer;
      const restart = how === "restart";
      const answer = await this.#options.negotiate(await peer.offer(restart));
      if (peer !== this.#peer) return;
      await peer.accept(answer);
      if (!restart) this.emit("peer", peer);
      this.#handlePeer(peer, peer.state);
      if (peer.state !== "connected") this.#again(CONNECT_TIMEOUT);
    } catch (error) {
      if (this.state === "closed") return;
      this.emit("error", asDialroomError(error));
      this.#attempt = Math.max(this.#attempt, RESTARTS);
      this.#again(waitBefore(this.#attempt - RESTARTS, RETRY, this.#options.random()));
    } finally {
      this.#negotiating = false;
      const next = this.#next;
      this.#next = null;
      if (next && this.#reachable) void this.#negotiate(next);
    }
  }

  async #newPeer(): Promise<Peer> {
    this.#dropPeer();
    const connection = this.#options.createPeerConnection({
      iceServers: [...this.#iceServers],
      bundlePolicy: "max-bundle",
    });
    const peer = new Peer(connection, this.#options.slots, (state) => this.#handlePeer(peer, state));
    this.#peer = peer;
    for (const source of SOURCES) {
      const track = this.#options.track(source);
      if (track) await peer.publish(source, track);
    }
    return peer;
  }

  #handlePeer(peer: Peer, state: PeerState): void {
    if (peer !== this.#peer) return;
    switch (state) {
      case "connected":
        this.#attempt = 0;
        clearTimeout(this.#timer);
        return this.#setState("connected");
      case "interrupted":
        if (this.#state === "connected") this.#again(DISCONNECTED_GRACE);
        return this.#setState("interrupted");
      case "failed":
        this.#attempt = Math.max(this.#attempt, RESTARTS);
        this.#again(waitBefore(this.#attempt - RESTARTS, RETRY, this.#options.random()));
        return this.#setState("interrupted");
      case "connecting":
      case "closed":
    }
  }

  /** After `delay`, unless media flows by then: an ICE restart, or a new peer once those were in vain. */
  #again(delay: number): void {
    clearTimeout(this.#timer);
    if (!this.#reachable) return;
    this.#timer = setTimeout(() => {
      if (this.#peer?.state === "connected" || !this.#reachable) return;
      this.#setState("interrupted");
      void this.#negotiate(this.#attempt++ < RESTARTS && this.#peer ? "restart" : "new");
    }, delay);
  }

  #dropPeer(): void {
    this.#peer?.close();
    this.#peer = null;
  }

  #setState(state: MediaState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.emit("state", state);
  }
}
