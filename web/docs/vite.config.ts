import { defineConfig } from "vite";

// Built after the room page, which empties the folder above. Nothing is inlined: the server's policy forbids that.
export default defineConfig({
  base: "/docs/",
  build: {
    target: "es2022",
    outDir: "../../src/dialroom/web/docs",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8080" } } },
});
