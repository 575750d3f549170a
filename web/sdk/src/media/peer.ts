import { SOURCES, type Source } from "../values.js";
import type { OfferFields } from "../wire.js";
import { encodingsFor } from "./encodings.js";

/** How many m-lines receive. They are made once; nobody negotiates again because someone joined. */
export interface Slots {
  readonly audio: number;
  readonly video: number;
}

export type PeerState = "connecting" | "connected" | "interrupted" | "failed" | "closed";

/**
 * One RTCPeerConnection with its m-lines fixed from the start: a sending one for each of our sources, then receiving
 * ones for the voices of the current speakers, then receiving ones for the video we ask for.
 */
export class Peer {
  readonly #connection: RTCPeerConnection;
  readonly #sending: ReadonlyMap<Source, RTCRtpTransceiver>;
  readonly #audio: readonly RTCRtpTransceiver[];
  readonly #video: readonly RTCRtpTransceiver[];

  constructor(connection: RTCPeerConnection, slots: Slots, onState: (state: PeerState) => void) {
    this.#connection = connection;
    this.#sending = new Map(SOURCES.map((source) => [source, this.#send(source)]));
    this.#audio = Array.from({ length: slots.audio }, () => this.#receive("audio"));
    this.#video = Array.from({ length: slots.video }, () => this.#receive("video"));
    connection.onconnectionstatechange = () => onState(this.state);
    connection.oniceconnectionstatechange = () => onState(this.state);
  }

  /** Lost ICE is `interrupted` (it may come back, or be restarted); lost DTLS is `failed` (only a new peer helps). */
  get state(): PeerState {
    const { connectionState, iceConnectionState } = this.#connection;
    if (connectionState === "closed") return "closed";
    if (iceConnectionState === "disconnected" || iceConnectionState === "failed") return "interrupted";
    if (connectionState === "failed") return "failed";
    return connectionState === "connected" ? "connected" : "connecting";
  }

  /** No candidates are waited for: the server is ICE-lite and learns ours from our checks. */
  async offer(restart: boolean): Promise<OfferFields> {
    if (restart) this.#connection.restartIce();
    await this.#connection.setLocalDescription(await this.#connection.createOffer());
    const sdp = this.#connection.localDescription?.sdp ?? "";
    const mids = (transceivers: readonly RTCRtpTransceiver[]): string[] => transceivers.map(midOf);
    return {
      sdp,
      publish: [...this.#sending].map(([source, transceiver]) => ({ mid: midOf(transceiver), source })),
      audio_slots: mids(this.#audio),
      video_slots: mids(this.#video),
      restart,
    };
  }

  async accept(sdp: string): Promise<void> {
    await this.#connection.setRemoteDescription({ type: "answer", sdp });
  }

  async publish(source: Source, track: MediaStreamTrack | null): Promise<void> {
    await this.#sending.get(source)?.sender.replaceTrack(track);
  }

  /** By mid, what the audio slots receive. */
  get audioTracks(): ReadonlyMap<string, MediaStreamTrack> {
    return tracksOf(this.#audio);
  }

  /** By mid, what the video slots receive. */
  get videoTracks(): ReadonlyMap<string, MediaStreamTrack> {
    return tracksOf(this.#video);
  }

  statistics(): Promise<RTCStatsReport> {
    return this.#connection.getStats();
  }

  close(): void {
    this.#connection.onconnectionstatechange = this.#connection.oniceconnectionstatechange = null;
    this.#connection.close();
  }

  #send(source: Source): RTCRtpTransceiver {
    return this.#connection.addTransceiver(source === "microphone" ? "audio" : "video", {
      direction: "sendonly",
      sendEncodings: encodingsFor(source),
    });
  }

  #receive(kind: "audio" | "video"): RTCRtpTransceiver {
    return this.#connection.addTransceiver(kind, { direction: "recvonly" });
  }
}

function midOf(transceiver: RTCRtpTransceiver): string {
  return transceiver.mid ?? "";
}

function tracksOf(transceivers: readonly RTCRtpTransceiver[]): ReadonlyMap<string, MediaStreamTrack> {
  return new Map(transceivers.map((transceiver) => [midOf(transceiver), transceiver.receiver.track]));
}
