// A file that is dropped on the page: a circuit or an attribution graph, looked at here before it is sent.
import { useEffect, useRef, useState } from "react";
import { Said, useAsking } from "./Jobs";
import { sendFile } from "./jobs";
import { ApiError } from "./server";
import { count, plural } from "./words";

/** Bytes of a file, as the server takes them. */
const LARGEST = 64_000_000;

type Document = Record<string, unknown>;
interface Format {
  name: string;
  fits: (document: Document) => boolean;
  /** The model it names; null where none is needed. */
  model: ((document: Document) => string) | null;
  size: (document: Document) => string;
}

const inside = (document: Document, part: string, key: string): string => {
  const found = (document[part] as Document | undefined)?.[key];
  return typeof found === "string" ? found : "";
};
const many = (value: unknown): number => (Array.isArray(value) ? value.length : value && typeof value === "object" ? Object.keys(value).length : 0);

/** Formats that can be dropped, in the order in which they are tried: a new one is an entry here and one in `wheatstone.circuits`. */
const FORMATS: Format[] = [
  { name: "a circuit of Wheatstone", fits: ({ format }) => format === "wheatstone.circuit/1", model: (document) => inside(document, "model", "id"), size: ({ edges }) => plural(many(edges), "edge") },
  { name: "a graph of EAP-IG", fits: ({ cfg, edges }) => Boolean(cfg && edges), model: (document) => inside(document, "cfg", "model_name"), size: ({ edges }) => plural(many(edges), "edge") },
  { name: "an attribution graph", fits: ({ nodes, links }) => Array.isArray(nodes) && Array.isArray(links), model: null, size: ({ nodes, links }) => `${plural(many(nodes), "node")}, ${plural(many(links), "edge")}` },
];

interface Dropped {
  file: File;
  format: Format;
  document: Document;
}

async function looked(file: File): Promise<Dropped> {
  if (file.size > LARGEST) throw new ApiError(`Expected a file of at most ${LARGEST / 1e6} MB; got ${count(file.size / 1e6)} MB.`, "Prune the graph in the tool that made it, or use `wheatstone import`");
  let document: unknown;
  try {
    document = JSON.parse(await file.text());
  } catch {
    throw new ApiError("Expected a JSON file; got another.", "Drop a circuit.json, a graph of EAP-IG, or an attribution graph");
  }
  const format = FORMATS.find(({ fits }) => document && typeof document === "object" && fits(document as Document));
  if (!format) throw new ApiError(`Expected ${FORMATS.map(({ name }) => name).join(", ")}; got another JSON document.`, "Drop one of these");
  return { file, format, document: document as Document };
}

/** Takes files that are dropped anywhere on the page, or chosen. */
export function Import({ asked, sent, close }: { asked: boolean; sent: () => void; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [dropped, setDropped] = useState<Dropped | null>(null);
  const [over, setOver] = useState(false);
  const [model, setModel] = useState("");
  const { busy, error, ask } = useAsking();
  const look = (file: File | undefined) =>
    file &&
    void ask(async () => {
      setDropped(null);
      const found = await looked(file);
      setDropped(found);
      setModel(found.format.model?.(found.document) ?? "");
    });
  useEffect(() => {
    const holds = (event: DragEvent) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const drag = (event: DragEvent) => {
      if (!holds(event)) return;
      event.preventDefault();
      setOver(event.type === "dragover");
    };
    const drop = (event: DragEvent) => {
      if (!holds(event)) return;
      event.preventDefault();
      setOver(false);
      look(event.dataTransfer?.files[0]);
    };
    addEventListener("dragover", drag);
    addEventListener("dragleave", drag);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", drag);
      removeEventListener("dragleave", drag);
      removeEventListener("drop", drop);
    };
  }, []);
  const open = asked || Boolean(dropped) || Boolean(error);
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
  }, [open]);
  const leave = () => {
    setDropped(null);
    void ask(() => Promise.resolve()); // what went wrong before is gone with the dialog
    close();
  };
  // A popover lies above the dialogs that are open before it.
  const overlay = over && (
    <div className="dropping" popover="manual" ref={(shown) => shown?.showPopover()}>
      Drop a circuit or an attribution graph
    </div>
  );
  if (!open) return overlay;
  const name = dropped?.file.name.replace(/\.json$/i, "").slice(0, 200) || "graph";
  return (
    <>
      {overlay}
      <dialog ref={dialog} className="import" onClose={leave} aria-labelledby="import-title">
        <h2 id="import-title">Import</h2>
        <p className="note">A circuit.json, a graph of EAP-IG (Graph.to_json), or an attribution graph of circuit-tracer or Neuronpedia. Drop it on the page, or choose it.</p>
        <input type="file" accept=".json,application/json" aria-label="File" onChange={(event) => look(event.target.files?.[0])} />
        {dropped && (
          <p data-testid="dropped">
            <b>{dropped.file.name}</b>: {dropped.format.name}, {dropped.format.size(dropped.document)}. {dropped.format.model ? "It is checked against the model; nothing is run on prompts." : "Nothing is run; a large one is thinned when it is drawn."}
          </p>
        )}
        {dropped?.format.model && (
          <label>
            Model{" "}
            <input type="text" value={model} maxLength={200} spellCheck={false} onChange={(event) => setModel(event.target.value)} />
          </label>
        )}
        <Said error={error} />
        <div className="go">
          <button
            className="main"
            disabled={!dropped || busy || Boolean(dropped.format.model && !model)}
            onClick={() =>
              dropped &&
              void ask(async () => {
                await sendFile(dropped.file, name, dropped.format.model ? model : "");
                dialog.current?.close();
                sent();
              })
            }
          >
            Import
          </button>
          <button onClick={() => dialog.current?.close()}>Close</button>
        </div>
      </dialog>
    </>
  );
}
