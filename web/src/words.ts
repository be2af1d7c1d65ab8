// Numbers for people, the same everywhere.
export const count = (value: number): string => Math.round(value).toLocaleString("en-US");
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${Math.round(value) === 1 ? "" : "s"}`;
export const decimal = (value: number, digits = 3): string => value.toFixed(digits).replace("-", "−");
export const signed = (value: number, digits = 3): string => (value > 0 ? "+" : "") + decimal(value, digits);
export const percent = (value: number): string => (value > 0 && value < 0.001 ? "< 0.1%" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%`);
export const interval = (bounds: [number, number] | null | undefined, digits = 2): string => (bounds ? `${decimal(bounds[0], digits)} to ${decimal(bounds[1], digits)}` : "");
/** Control characters as escapes: an SVG or XML file that holds one cannot be opened. */
export const shown = (text: string): string =>
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, "0")}`);
/** Fewest prompts that an interval is given for, as in `wheatstone._intervals`. */
const MINIMUM = 4;
/** Says of a table what its intervals are, or why it has none. */
export const intervalNote = (n: number): string => (n < MINIMUM ? noInterval(n) : `n = ${n} prompts; 95% intervals`);
/** Instead of an interval. */
export const noInterval = (n: number): string => `n = ${n}${n < MINIMUM ? ": too few for an interval" : ", no interval"}`;
/** A prompt with its answer, as a name for it. */
export const quoted = (prompt: string, answer: string): string => `“${prompt}” → ${answer.trim()}`;
/** A token as it is read: its leading space as a dot, a line break as a sign. */
export const token = (text: string): string => shown(text.replace(/^ /, "·").replace(/\n/g, "↵"));
/** A model or file without the folders of the machine that it is on: an export leaves that machine. */
export const homeless = (name: string): string => (/^([/~]|[A-Za-z]:[\\/])/.test(name) ? (name.split(/[\\/]/).filter(Boolean).at(-1) ?? name) : name);
export const homelessIn = <T,>(value: T): T => JSON.parse(JSON.stringify(value), (_, inner: unknown) => (typeof inner === "string" ? homeless(inner) : inner)) as T;
/** Seconds as one says them: no more exact than a guess can be. */
export const timeLeft = (seconds: number): string => (seconds < 90 ? `${count(seconds)} s` : seconds < 5400 ? `${count(seconds / 60)} min` : `${count(seconds / 3600)} h`);
