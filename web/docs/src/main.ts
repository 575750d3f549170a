import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";

/** An error's `type` is a link to its code, which stands below the operations. */
const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));

const domNode = document.getElementById("operations");
if (domNode) {
  if (linked) keepInView(linked, domNode);
  SwaggerUI({
    url: "/api/openapi.json",
    domNode,
    // It would take our links for its own and rewrite them.
    deepLinking: !linked,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    docExpansion: "list",
    validatorUrl: null,
  });
}

/** What is drawn above in several steps pushes `target` down, until the reader takes over. */
function keepInView(target: Element, above: Element): void {
  const drawing = new ResizeObserver(() => target.scrollIntoView({ block: "center" }));
  drawing.observe(above);
  for (const touch of ["wheel", "pointerdown", "keydown"]) {
    addEventListener(touch, () => drawing.disconnect(), { once: true, passive: true });
  }
}
