import { defineConfig } from "vite";

// One file with everything in it: a notebook loads it, a saved page holds it.
export default defineConfig({
  publicDir: false,
  build: { outDir: "../src/wheatstone/studio/app", emptyOutDir: false, target: "es2022", lib: { entry: "src/widget.ts", formats: ["es"], fileName: () => "widget.js" } },
});
