import { defineConfig } from "vite";

export default defineConfig({
  build: {
    target: "es2022",
    lib: { entry: "src/dialroom.ts", formats: ["es"], fileName: () => "dialroom.js" },
    sourcemap: true,
  },
});
