// What a person wrote on a run: kept in the run's folder, or in this browser for an example, which is read-only.
import { useCallback, useEffect, useRef, useState } from "react";
import type { Edit } from "./edits";
import { ApiError, fetchLabels, type Labels, saveLabels } from "./server";

export interface Notes {
  labels: Labels;
  /** What went wrong, in words; "" for nothing. */
  trouble: string;
  /** A change that is not saved, for another tab wrote first. */
  waiting: Edit | null;
  /** Makes a change and saves it; whether that succeeded. */
  change: (edit: Edit) => Promise<boolean>;
  drop: () => void;
}

const NONE: Labels = { format: "wheatstone.labels/1", labels: [], supernodes: [], views: [] };
/** What labels belong to. */
export interface Labelled {
  id: string;
  /** Read-only: its labels are kept in this browser. */
  example: boolean;
}
const key = (run: Labelled) => `labels of ${run.id}`;

function stored(run: Labelled): Labels {
  try {
    return { ...NONE, ...(JSON.parse(localStorage.getItem(key(run)) ?? "{}") as Partial<Labels>) };
  } catch {
    return NONE;
  }
}

export function useLabels(run: Labelled): Notes {
  const [labels, setLabels] = useState<Labels>(NONE);
  const [trouble, setTrouble] = useState("");
  const [waiting, setWaiting] = useState<Edit | null>(null);
  const read = useRef({ labels: NONE, etag: "" });
  const line = useRef<Promise<unknown>>(Promise.resolve()); // one save after the other

  const fetched = useCallback(async () => {
    read.current = await fetchLabels(run.id);
    setLabels(read.current.labels);
  }, [run.id]);

  useEffect(() => {
    setTrouble("");
    setWaiting(null);
    setLabels(NONE);
    if (!run.example) {
      line.current = fetched().catch((error: unknown) => setTrouble(words(error)));
      return;
    }
    const reread = () => setLabels(stored(run));
    reread();
    addEventListener("storage", reread);
    return () => removeEventListener("storage", reread);
  }, [run.id]);

  const change = async (edit: Edit): Promise<boolean> => {
    if (run.example) {
      const next = edit(stored(run));
      try {
        localStorage.setItem(key(run), JSON.stringify(next));
      } catch (error) {
        setTrouble(words(error));
        return false;
      } finally {
        setLabels(next);
      }
      return true;
    }
    const saved = line.current.then(async () => {
      const next = edit(read.current.labels);
      try {
        read.current = { labels: next, etag: await saveLabels(run.id, next, read.current.etag) };
        setLabels(next);
        setWaiting(null);
        setTrouble("");
        return true;
      } catch (error) {
        setTrouble(words(error));
        if (!(error instanceof ApiError) || error.status !== 412) return false;
        setWaiting(() => edit);
        await fetched().catch((again: unknown) => setTrouble(words(again)));
        return false;
      }
    });
    line.current = saved;
    return saved;
  };
  const drop = () => {
    setWaiting(null);
    setTrouble("");
  };
  return { labels, trouble, waiting, change, drop };
}

const words = (error: unknown): string => (error instanceof ApiError ? `${error.said} ${error.advice}` : String(error));
