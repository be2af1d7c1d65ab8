// What was painted is kept: while the size slider is dragged, only what it adds is painted anew.
import { type Palette, paintLabels, paintMarks, paintStrokes, prepared } from "./paint";
import type { Scene } from "./scene";

/** Things by which a kept layer grows; fewer than these are painted a frame. */
const STEP = 250;

interface Frame {
  size: { width: number; height: number };
  transform: { x: number; y: number; k: number };
  colours: Palette;
}
type Context = CanvasRenderingContext2D;

/** Paints scenes one after the other, each over what is on the canvas. */
export function painter(): (context: Context, scene: Scene, frame: Frame) => void {
  const strokes = keeper(paintStrokes);
  const marks = keeper(paintMarks);
  return (context, scene, frame) => {
    const all = scene.strokes.length;
    paintStrokes(
      context,
      scene.strokes.filter((stroke) => !stroke.key),
      frame.colours,
      all,
    );
    strokes(context, scene.strokes.filter((stroke) => stroke.key).reverse(), frame, all);
    marks(context, scene.marks, frame, scene.marks.length);
    paintLabels(context, scene.labels, frame.colours);
  };
}

/** Paints things, the strongest first and on top; those that were there in the last frame come from a layer of their own. */
function keeper<T>(paint: (context: Context, things: T[], colours: Palette, all: number) => void): (context: Context, things: T[], frame: Frame, all: number) => void {
  let [layer, spare] = [document.createElement("canvas"), document.createElement("canvas")];
  let held: T[] = [];
  let last = "";
  return (context, things, { size, transform, colours }, all) => {
    const now = JSON.stringify([size, transform, colours, devicePixelRatio]);
    const keep = things.length - (things.length % STEP);
    if (now !== last || held.length > keep || held.some((thing, i) => thing !== things[i])) held = [];
    last = now;
    if (held.length < keep) {
      const under = prepared(spare, size, transform);
      // The same steps whatever was there before, so that the same view is the same picture.
      for (let at = keep - STEP; at >= held.length; at -= STEP) paint(under, things.slice(at, at + STEP).reverse(), colours, all);
      if (held.length) stamp(under, layer);
      [layer, spare] = [spare, layer];
      held = things.slice(0, keep);
    }
    paint(context, things.slice(keep).reverse(), colours, all);
    if (keep) stamp(context, layer);
  };
}

/** One canvas on another of its size. */
export function stamp(context: Context, layer: HTMLCanvasElement): void {
  context.save();
  context.resetTransform();
  context.globalAlpha = 1;
  context.drawImage(layer, 0, 0);
  context.restore();
}
