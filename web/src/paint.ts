// A scene on a canvas, and as SVG.
import type { Ink, Label, Mark, Scene, Stroke } from "./scene";
import { shown } from "./words";

export type Palette = Record<Ink, string>;

export const FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'Liberation Sans', sans-serif";

/** The colours that the style sheet gives a part of the page, or all of it, in this light. */
export function palette(of: Element = document.documentElement): Palette {
  const style = getComputedStyle(of);
  const inks: Ink[] = ["paper", "ink", "soft", "faint", "line", "blue", "orange", "side-a", "side-b", "both", "accent"];
  return Object.fromEntries(inks.map((ink) => [ink, style.getPropertyValue(`--${ink}`).trim()])) as Palette;
}

/** A canvas cleared, at the screen's own resolution, in the map's coordinates. */
export function prepared(canvas: HTMLCanvasElement, size: { width: number; height: number }, transform: { x: number; y: number; k: number } = { x: 0, y: 0, k: 1 }): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  context.translate(transform.x, transform.y);
  context.scale(transform.k, transform.k);
  return context;
}

const bend = (stroke: Stroke): number => Math.max(6, Math.abs(stroke.to.y - stroke.from.y) * 0.42);

export function paint(context: CanvasRenderingContext2D, scene: Scene, colours: Palette): void {
  context.fillStyle = colours.faint;
  for (const band of scene.bands) context.fillRect(band.x, band.y, band.width, band.height);
  paintStrokes(context, scene.strokes, colours);
  paintMarks(context, scene.marks, colours);
  paintLabels(context, scene.labels, colours);
}

/** Strokes beyond which those that look alike are one path: a thousand strokes are a thousand times slower than one. */
const MANY = 400;

function paintStrokes(context: CanvasRenderingContext2D, strokes: Stroke[], colours: Palette): void {
  const all = strokes.length;
  const alike = Map.groupBy(strokes, (stroke, i) => (all > MANY ? `${stroke.ink}${stroke.dashed}${Math.round(2 * stroke.width)}${Math.round(10 * stroke.alpha)}` : i));
  context.lineCap = all > MANY ? "butt" : "round";
  for (const group of alike.values()) {
    const first = group[0]!;
    context.beginPath();
    for (const stroke of group) {
      context.moveTo(stroke.from.x, stroke.from.y);
      if (stroke.curved) context.bezierCurveTo(stroke.from.x, stroke.from.y - bend(stroke), stroke.to.x, stroke.to.y + bend(stroke), stroke.to.x, stroke.to.y);
      else context.lineTo(stroke.to.x, stroke.to.y);
    }
    context.globalAlpha = first.alpha;
    context.strokeStyle = colours[first.ink];
    context.lineWidth = all > MANY ? Math.max(0.5, Math.round(2 * first.width) / 2) : first.width;
    context.setLineDash(first.dashed ? [6, 5] : []);
    context.stroke();
  }
  context.setLineDash([]);
}

function paintMarks(context: CanvasRenderingContext2D, all: Mark[], colours: Palette): void {
  for (const marks of Map.groupBy(all, (mark) => `${mark.shape} ${mark.ink} ${mark.ring} ${mark.alpha}`).values()) {
    const { alpha, shape, ink, ring } = marks[0]!;
    context.globalAlpha = alpha;
    context.beginPath();
    for (const mark of marks) {
      if (shape === "square") context.rect(mark.x - mark.size, mark.y - mark.size, 2 * mark.size, 2 * mark.size);
      else {
        context.moveTo(mark.x + mark.size, mark.y);
        context.arc(mark.x, mark.y, mark.size, 0, 2 * Math.PI);
      }
    }
    context.fillStyle = colours[shape === "port" ? "paper" : ink];
    context.fill();
    if (shape === "port" || ring) {
      context.lineWidth = ring ? 2.5 : 1;
      context.strokeStyle = colours[ring ? "accent" : "soft"];
      context.stroke();
    }
  }
}

export function paintLabels(context: CanvasRenderingContext2D, labels: Label[], colours: Palette): void {
  context.globalAlpha = 1;
  context.textBaseline = "middle";
  for (const label of labels) {
    context.font = `${label.bold ? "bold " : ""}${label.size}px ${FONT}`;
    context.textAlign = label.align;
    context.lineJoin = "round";
    context.lineWidth = label.size * 0.27;
    context.strokeStyle = colours.paper;
    context.strokeText(label.text, label.x, label.y);
    context.fillStyle = colours[label.ink];
    context.fillText(label.text, label.x, label.y);
  }
}

/** Names of rows and columns over a map that may be moved: they stay at its border. */
export function paintFixed(context: CanvasRenderingContext2D, labels: Label[], colours: Palette, { x, y, k }: { x: number; y: number; k: number }): void {
  const ratio = devicePixelRatio || 1;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const moved = labels.map((label) => ({ ...label, x: label.fixed?.includes("x") ? label.x : x + k * label.x, y: label.fixed?.includes("y") ? label.y : y + k * label.y }));
  paintLabels(context, moved, colours);
}

/** One canvas on another of its size. */
export function stamp(context: CanvasRenderingContext2D, layer: HTMLCanvasElement): void {
  context.save();
  context.resetTransform();
  context.globalAlpha = 1;
  context.drawImage(layer, 0, 0);
  context.restore();
}

const escaped = (text: string): string => shown(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
const number = (value: number): string => String(Math.round(value * 100) / 100);

export function svg(scene: Scene, colours: Palette, title: string, description: string): string {
  const out: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${number(scene.width)} ${number(scene.height)}" width="${number(scene.width)}" height="${number(scene.height)}" role="img" font-family="${escaped(FONT)}">`,
    `<title>${escaped(title)}</title><desc>${escaped(description)}</desc>`,
    `<rect width="100%" height="100%" fill="${colours.paper}"/>`,
  ];
  for (const band of scene.bands) out.push(`<rect x="${number(band.x)}" y="${number(band.y)}" width="${number(band.width)}" height="${number(band.height)}" fill="${colours.faint}"/>`);
  for (const stroke of scene.strokes) {
    const { from, to } = stroke;
    const path = stroke.curved
      ? `C${number(from.x)} ${number(from.y - bend(stroke))} ${number(to.x)} ${number(to.y + bend(stroke))} ${number(to.x)} ${number(to.y)}`
      : `L${number(to.x)} ${number(to.y)}`;
    out.push(
      `<path d="M${number(from.x)} ${number(from.y)}${path}" fill="none" stroke="${colours[stroke.ink]}" stroke-width="${number(stroke.width)}" stroke-opacity="${number(stroke.alpha)}" stroke-linecap="round"${stroke.dashed ? ' stroke-dasharray="6 5"' : ""}${stroke.key ? ` data-edge="${escaped(stroke.key)}"` : ""}/>`,
    );
  }
  for (const mark of scene.marks) {
    const look = `fill="${colours[mark.shape === "port" ? "paper" : mark.ink]}" fill-opacity="${number(mark.alpha)}"${mark.shape === "port" || mark.ring ? ` stroke="${colours[mark.ring ? "accent" : "soft"]}"` : ""}`;
    out.push(
      mark.shape === "square"
        ? `<rect x="${number(mark.x - mark.size)}" y="${number(mark.y - mark.size)}" width="${number(2 * mark.size)}" height="${number(2 * mark.size)}" ${look}/>`
        : `<circle cx="${number(mark.x)}" cy="${number(mark.y)}" r="${number(mark.size)}" ${look}/>`,
    );
  }
  const anchor = { left: "start", center: "middle", right: "end" };
  for (const label of scene.labels)
    out.push(
      `<text x="${number(label.x)}" y="${number(label.y)}" font-size="${label.size}" dominant-baseline="central" text-anchor="${anchor[label.align]}" fill="${colours[label.ink]}" stroke="${colours.paper}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"${label.bold ? ' font-weight="bold"' : ""}>${escaped(label.text)}</text>`,
    );
  return `${out.join("\n")}\n</svg>\n`;
}
