// What is fetched, once: a promise per address, and what came of it.
import { useEffect, useState } from "react";
import { ApiError } from "./server";

export type Fetched<T> = { state: "waiting" } | { state: "here"; value: T } | { state: "failed"; error: ApiError };

const kept = new Map<string, Promise<unknown>>();

/** Fetches when the key changes; an empty key fetches nothing. What failed is tried again the next time. */
export function useFetched<T>(key: string, fetch: () => Promise<T>): Fetched<T> {
  const [found, setFound] = useState<{ key: string; now: Fetched<T> }>({ key: "", now: { state: "waiting" } });
  useEffect(() => {
    if (!key) return;
    let wanted = true;
    const promise = (kept.get(key) as Promise<T> | undefined) ?? fetch();
    kept.set(key, promise);
    promise.then(
      (value) => wanted && setFound({ key, now: { state: "here", value } }),
      (error: unknown) => {
        kept.delete(key);
        const said = error instanceof ApiError ? error : new ApiError(String(error), "Reload the page.");
        if (wanted) setFound({ key, now: { state: "failed", error: said } });
      },
    );
    return () => {
      wanted = false;
    };
  }, [key]);
  return found.key === key ? found.now : { state: "waiting" };
}

export const valueOf = <T,>(fetched: Fetched<T>): T | undefined => (fetched.state === "here" ? fetched.value : undefined);

/** Forgets what was fetched, so that the next look is a new one. */
export const forget = (): void => kept.clear();
