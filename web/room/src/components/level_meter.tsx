import { meter } from "dialroom";
import { useEffect, useRef } from "preact/hooks";

/** Moves with the microphone's sound; `null` shows it still. */
export function LevelMeter({ track }: { track: MediaStreamTrack | null }) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!track) return;
    const stop = meter(track, (level) => element.current?.style.setProperty("--level", level.toFixed(3)));
    return () => {
      stop();
      element.current?.style.removeProperty("--level");
    };
  }, [track]);
  return (
    <div class="level" ref={element} role="img" aria-label="Microphone level">
      <span class="fill" />
    </div>
  );
}
