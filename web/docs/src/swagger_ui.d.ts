declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  interface Options {
    url: string;
    domNode: Element;
    deepLinking?: boolean;
    defaultModelsExpandDepth?: number;
    displayRequestDuration?: boolean;
    docExpansion?: "list" | "full" | "none";
    validatorUrl?: null;
  }
  const SwaggerUI: (options: Options) => unknown;
  export default SwaggerUI;
}
