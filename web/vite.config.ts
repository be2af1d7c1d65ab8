import { readFileSync, readdirSync } from "node:fs";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Adds `licences.txt`: the licence texts of the packages that the app contains, which most of them ask to be kept. */
function licences(): Plugin {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf-8")) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  const bundled = Object.keys(packages).filter((path) => path && !packages[path].dev && !packages[path].optional);
  const text = (path: string) => {
    const file = readdirSync(path).find((name) => /^licen[cs]e/i.test(name));
    if (!file) throw new Error(`expected a licence file in ${path}; got none; add its text by hand`);
    return `${path.replace(/.*node_modules\//, "")}\n\n${readFileSync(`${path}/${file}`, "utf-8").trim()}\n`;
  };
  return {
    name: "licences",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "licences.txt", source: bundled.map(text).join(`\n${"-".repeat(80)}\n\n`) });
    },
  };
}

// The app goes straight into the Python package, where the server looks for it.
export default defineConfig({
  plugins: [react(), licences()],
  base: "./",
  build: { outDir: "../src/wheatstone/studio/app", emptyOutDir: true, target: "es2022" },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8765", changeOrigin: true } } },
});
