import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Emitter } from "../src/events.js";
import type { Room } from "../src/room.js";
import { show } from "../src/show.js";

class FakeRoom extends Emitter<{ videos: undefined; local: undefined }> {
  track: object | null = null;
  watched = 0;

  watch(): () => void {
    this.watched++;
    return () => {
      this.watched--;
    };
  }

  videoTrack(): object | null {
    return this.track;
  }

  receive(track: object | null): void {
    this.track = track;
    this.emit("videos", undefined);
  }
}

let scroll: (visible: boolean) => void;
let room: FakeRoom;
let element: HTMLVideoElement;
let stop: () => void;

beforeEach(() => {
  vi.stubGlobal(
    "MediaStream",
    class {
      constructor(readonly tracks: object[]) {}
    },
  );
  vi.stubGlobal(
    "IntersectionObserver",
    class {
      constructor(callback: (entries: { isIntersecting: boolean }[]) => void) {
        scroll = (isIntersecting) => callback([{ isIntersecting }]);
      }
      observe(): void {}
      disconnect(): void {}
    },
  );
  room = new FakeRoom();
  element = { play: async () => {}, srcObject: null } as unknown as HTMLVideoElement;
  stop = show(room as unknown as Room, "ada", "camera", element);
});

afterEach(() => vi.unstubAllGlobals());

describe("show", () => {
  it("asks for a video only while it is in view", () => {
    expect(room.watched).toBe(0);
    scroll(true);
    scroll(true);
    expect(room.watched).toBe(1);
    scroll(false);
    expect(room.watched).toBe(0);
  });

  it("follows the track: comes, is replaced, goes", () => {
    scroll(true);
    room.receive({ id: 1 });
    expect(element.srcObject).toMatchObject({ tracks: [{ id: 1 }] });
    const stream = element.srcObject;
    room.receive(room.track);
    expect(element.srcObject).toBe(stream);
    room.receive(null);
    expect(element.srcObject).toBeNull();
  });

  it("is silent and inline, as phones want it", () => {
    expect(element).toMatchObject({ muted: true, autoplay: true, playsInline: true });
  });

  it("lets go of everything when it is stopped", () => {
    scroll(true);
    room.receive({ id: 1 });
    stop();
    expect(room.watched).toBe(0);
    expect(element.srcObject).toBeNull();
    room.receive({ id: 2 });
    expect(element.srcObject).toBeNull();
  });
});
