import type { Environment, Socket } from "../environment.js";
import { DialroomError, requestTimedOut } from "../errors.js";
import { parseMessage, type ServerEvent } from "../wire.js";

export const REQUEST_TIMEOUT = 10_000;
const OPEN_TIMEOUT = 10_000;
const PING_INTERVAL = 15_000;
const PING_TIMEOUT = 10_000;

export interface ChannelHandlers {
  event(event: ServerEvent): void;
  /** Once, and not after our own `close`. */
  closed(code: number): void;
}

interface Pending {
  readonly resolve: (fields: Readonly<Record<string, unknown>>) => void;
  readonly reject: (error: DialroomError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** One WebSocket from its opening to its end: requests with their answers, events, and a heartbeat. */
export class Channel {
  readonly #socket: Socket;
  readonly #handlers: ChannelHandlers;
  readonly #pending = new Map<number, Pending>();
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #nextId = 1;
  #open = true;

  private constructor(socket: Socket, handlers: ChannelHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#end(code);
    this.#heartbeat = setInterval(() => this.#ping(), PING_INTERVAL);
  }

  /** @throws DialroomError `connection_lost` when the server cannot be reached within 10 s. */
  static open(environment: Environment, url: string, handlers: ChannelHandlers): Promise<Channel> {
    return new Promise((resolve, reject) => {
      const socket = environment.openSocket(url);
      const fail = (): void => {
        clearTimeout(timer);
        socket.onopen = socket.onclose = null;
        socket.close();
        reject(DialroomError.connectionLost());
      };
      const timer = setTimeout(fail, OPEN_TIMEOUT);
      socket.onclose = fail;
      socket.onopen = () => {
        clearTimeout(timer);
        resolve(new Channel(socket, handlers));
      };
    });
  }

  /** @throws DialroomError with the server's code, or `connection_lost`, or `request_timed_out`. */
  request(
    type: string,
    fields: object = {},
    timeout = REQUEST_TIMEOUT,
  ): Promise<Readonly<Record<string, unknown>>> {
    if (!this.#open) return Promise.reject(DialroomError.connectionLost());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(requestTimedOut(type));
      }, timeout);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ ...fields, type, id }));
    });
  }

  close(code = 1000): void {
    if (!this.#open) return;
    this.#stop();
    this.#socket.close(code);
  }

  #receive(data: unknown): void {
    const message = parseMessage(data);
    if (!message || !this.#open) return;
    if (message.type === "event") {
      this.#handlers.event(message.event);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    this.#pending.delete(message.id);
    clearTimeout(pending.timer);
    if (message.type === "ok") pending.resolve(message.fields);
    else pending.reject(DialroomError.fromProblem(message.error));
  }

  /** A socket that swallows a ping is dead, whatever the browser thinks of it. */
  #ping(): void {
    this.request("ping", {}, PING_TIMEOUT).catch((error: DialroomError) => {
      if (error.code !== "request_timed_out" || !this.#open) return;
      this.#socket.close();
      this.#end(1006);
    });
  }

  #end(code: number): void {
    if (!this.#open) return;
    this.#stop();
    this.#handlers.closed(code);
  }

  #stop(): void {
    this.#open = false;
    clearInterval(this.#heartbeat);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(DialroomError.connectionLost());
    }
    this.#pending.clear();
  }
}
