import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The app goes straight into the Python package, where the server looks for it.
export default defineConfig({
  plugins: [react()],
  base: "./",
  build: { outDir: "../src/wheatstone/studio/app", emptyOutDir: true, target: "es2022" },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8765", changeOrigin: true } } },
});
