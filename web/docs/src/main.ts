import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";

/** An error's `type` is a link to its code here; the page grows above it while the operations are drawn. */
function scrollToFragment(): void {
  const id = decodeURIComponent(location.hash.slice(1));
  if (id && !id.startsWith("/")) document.getElementById(id)?.scrollIntoView();
}

const domNode = document.getElementById("operations");
if (domNode) {
  SwaggerUI({
    url: "/api/openapi.json",
    domNode,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    docExpansion: "list",
    validatorUrl: null,
    onComplete: () => requestAnimationFrame(scrollToFragment),
  });
}
