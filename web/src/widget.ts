// What a notebook loads (the protocol of anywidget), and what a page holds that shows one circuit without a network.
import palette from "./palette.css?inline";
import { draw, type Portable, type Start } from "./portable";
import style from "./portable.css?inline";

interface Model {
  get(name: "circuit"): Portable;
  on(event: "change:circuit", then: () => void): void;
  off(event: "change:circuit", then: () => void): void;
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  dress(el);
  let leave = draw(el, model.get("circuit"));
  const again = () => {
    leave();
    leave = draw(el, model.get("circuit"));
  };
  model.on("change:circuit", again);
  return () => {
    model.off("change:circuit", again);
    leave();
  };
}

function dress(home: HTMLElement): void {
  home.classList.add("wheatstone");
  home.append(Object.assign(document.createElement("style"), { textContent: palette + style }));
}

const written = document.getElementById("wheatstone-circuit")?.textContent;
if (written) {
  const { circuit, other, start } = JSON.parse(written) as { circuit: Portable; other?: Portable; start: Partial<Start> };
  document.documentElement.dataset.theme ??= matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  dress(document.documentElement);
  draw(document.body, circuit, start, other);
}

export default { render };
