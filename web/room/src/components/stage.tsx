import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Area, layout } from "../model/layout.js";
import type { RoomView } from "../model/room_view.js";
import { Invitation } from "./invitation.js";
import { useKeyboardScroll } from "./keyboard_scroll.js";
import { ScreenTile, Tile } from "./tile.js";

const GAP = 12;

/** Everyone's tiles, and above them a screen that is shared. */
export function Stage({ view }: { view: RoomView }) {
  const screens = view.screens.value;
  const alone = view.participants.value.length === 1 && screens.length === 0;
  const [first] = screens;
  return (
    <main class={`stage ${screens.length > 0 ? "with-screen" : ""}`} aria-label="Participants">
      {first && (
        <div class="screens">
          {screens.map(({ participant, isMe }) => (
            <ScreenTile key={`${participant.id} ${isMe}`} view={view} participant={participant} />
          ))}
        </div>
      )}
      <Grid view={view} strip={screens.length > 0} />
      {alone && <Invitation view={view} />}
    </main>
  );
}

function Grid({ view, strip }: { view: RoomView; strip: boolean }) {
  const people = view.participants.value;
  const mine = view.me.value.id;
  const ordered = [...people].sort((a, b) => Number(b.id === mine) - Number(a.id === mine));
  const element = useRef<HTMLUListElement>(null);
  useKeyboardScroll(element);
  const area = useSignal<Area>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const list = element.current;
    if (!list) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) area.value = { width: entry.contentRect.width, height: entry.contentRect.height };
    });
    observer.observe(list);
    return () => observer.disconnect();
  }, []);
  const { width, height } = layout(people.length, area.value, GAP);
  return (
    <ul
      ref={element}
      class={`grid ${strip ? "strip" : ""}`}
      style={strip ? {} : { "--tile-width": `${width}px`, "--tile-height": `${height}px` }}
    >
      {ordered.map((participant) => (
        <Tile key={participant.id} view={view} participant={participant} />
      ))}
    </ul>
  );
}
