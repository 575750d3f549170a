import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";

/** An element takes the focus while there is more in it than is seen, so that the arrow keys scroll it. */
export function useKeyboardScroll(element: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const area = element.current;
    if (!area) return;
    const update = (): void => {
      const scrolls = area.scrollHeight > area.clientHeight || area.scrollWidth > area.clientWidth;
      if (scrolls) area.tabIndex = 0;
      else area.removeAttribute("tabindex");
    };
    const observer = new ResizeObserver(update);
    observer.observe(area);
    for (const child of area.children) observer.observe(child);
    return () => observer.disconnect();
  });
}
