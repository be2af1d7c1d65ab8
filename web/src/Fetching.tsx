// What is fetched, in each of its states: never blank, and a failure is never shown as absence.
import { Component, type ReactNode } from "react";
import { Said } from "./Jobs";
import { again, type Fetched } from "./use";

interface Props<T> {
  of: Fetched<T>;
  /** What it is, in words. */
  what: string;
  /** Where there is nothing to fetch: what would make it. */
  absent?: ReactNode;
  children: (value: T) => ReactNode;
}

export function Fetching<T>({ of, what, absent = null, children }: Props<T>): ReactNode {
  switch (of.state) {
    case "absent":
      return absent;
    case "waiting":
      return (
        <p className="note" role="status">
          Reading {what} …
        </p>
      );
    case "failed":
      return (
        <div className="failed">
          <Said error={of.error} before={`Could not read ${what}. `} />
          <button onClick={again}>Try again</button>
        </div>
      );
    case "here":
      return children(of.value);
  }
}

interface Bounded {
  /** What is inside it, in words. */
  what: string;
  /** Puts it right, by showing something else. */
  leave: () => void;
  children: ReactNode;
}

/** Says that a part of the page cannot be shown, instead of leaving all of it blank. Give it a key: a new one tries again. */
export class Boundary extends Component<Bounded, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return (
      <div className="trouble" role="alert">
        <p>
          {this.props.what} cannot be shown: {this.state.error.message}.
        </p>
        <button
          onClick={() => {
            this.setState({ error: null });
            this.props.leave();
          }}
        >
          Show it from the beginning
        </button>
      </div>
    );
  }
}
