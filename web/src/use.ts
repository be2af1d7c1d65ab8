// What is fetched, once: a promise per address, and what came of it.
import { useEffect, useState, useSyncExternalStore } from "react";
import { ApiError } from "./server";

/** `absent`: there is nothing to fetch. */
export type Fetched<T> = { state: "absent" | "waiting" } | { state: "here"; value: T } | { state: "failed"; error: ApiError };

const kept = new Map<string, Promise<unknown>>();
const listeners = new Set<() => void>();
let attempt = 0;

/** Fetches what failed once more, wherever it is shown. */
export function again(): void {
  attempt++;
  listeners.forEach((listener) => listener());
}

const useAttempt = (): number =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => attempt,
  );

/** Fetches when the key changes; an empty key fetches nothing. What failed is tried again the next time. */
export function useFetched<T>(key: string, fetch: () => Promise<T>): Fetched<T> {
  const [found, setFound] = useState<{ key: string; now: Fetched<T> }>({ key: "", now: { state: "absent" } });
  const now = useAttempt();
  useEffect(() => {
    if (!key) return;
    let wanted = true;
    const promise = (kept.get(key) as Promise<T> | undefined) ?? fetch();
    kept.set(key, promise);
    promise.then(
      (value) => wanted && setFound({ key, now: { state: "here", value } }),
      (error: unknown) => {
        kept.delete(key);
        if (wanted) setFound({ key, now: { state: "failed", error: apiError(error) } });
      },
    );
    return () => {
      wanted = false;
    };
  }, [key, now]);
  return found.key === key ? found.now : { state: key ? "waiting" : "absent" };
}

export const apiError = (error: unknown): ApiError => (error instanceof ApiError ? error : new ApiError(String(error), "Reload the page."));

export const valueOf = <T,>(fetched: Fetched<T>): T | undefined => (fetched.state === "here" ? fetched.value : undefined);

/** Forgets what was fetched, so that the next look is a new one. */
export const forget = (): void => kept.clear();
