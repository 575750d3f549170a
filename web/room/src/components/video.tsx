import { useSignal } from "@preact/signals";
import { type Room, show, type VideoSource } from "dialroom";
import { useEffect, useRef } from "preact/hooks";

interface VideoProps {
  room: Room;
  participant: string;
  source: VideoSource;
  mirrored?: boolean;
}

/** Someone's camera or screen; invisible until its first picture is there. */
export function Video({ room, participant, source, mirrored = false }: VideoProps) {
  const element = useRef<HTMLVideoElement>(null);
  const live = useSignal(false);
  useEffect(() => {
    if (element.current) return show(room, participant, source, element.current);
  }, [room, participant, source]);
  return (
    <video
      ref={element}
      class={`video ${source} ${live.value ? "live" : ""} ${mirrored ? "mirrored" : ""}`}
      muted
      playsInline
      onLoadedData={() => {
        live.value = true;
      }}
      onEmptied={() => {
        live.value = false;
      }}
    />
  );
}
