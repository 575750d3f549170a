import type { Room } from "./room.js";
import type { VideoSource } from "./values.js";

/**
 * Shows someone's camera or screen in a video element until the returned function is called. It is asked for only
 * while the element is in view, so that a long list of people costs no more than what is seen of it. While it comes,
 * and when it stops, the element has no `srcObject`.
 */
export function show(
  room: Room,
  participant: string,
  source: VideoSource,
  element: HTMLVideoElement,
): () => void {
  let unwatch: (() => void) | null = null;
  let shown: MediaStreamTrack | null = null;
  element.muted = true;
  element.autoplay = true;
  element.playsInline = true;
  const refresh = (): void => {
    const track = room.videoTrack(participant, source);
    if (track === shown) return;
    shown = track;
    element.srcObject = track && new MediaStream([track]);
    // A refused start is repeated by `autoplay`; muted video is refused only while the page is hidden.
    if (track) void element.play().catch(() => undefined);
  };
  const observer = new IntersectionObserver((entries) => {
    const visible = entries.at(-1)?.isIntersecting ?? false;
    if (visible && !unwatch) unwatch = room.watch(participant, source);
    if (!visible) {
      unwatch?.();
      unwatch = null;
    }
  });
  observer.observe(element);
  const stops = [room.on("videos", refresh), room.on("local", refresh)];
  refresh();
  return () => {
    observer.disconnect();
    unwatch?.();
    for (const stop of stops) stop();
    element.srcObject = null;
  };
}
