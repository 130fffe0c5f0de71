/** What stands for the version that ships with the Worker, whichever that is. */
export const builtIn = "built_in";

/** Which versions of a model play a part: SHA-256s, or `built_in`. */
export interface Pointers {
  /** Scores, and counts. */
  current: string;
  /** Was in force before: what a rollback returns to. */
  previous: string | null;
  /** Scores beside the current one, without effect. */
  shadow: string | null;
}

export const firstPointers: Pointers = { current: builtIn, previous: null, shadow: null };

export type PointerChange =
  | { to: "promote"; version: string }
  | { to: "rollback" }
  | { to: "shadow"; version: string | null };

export type PointerRefusal = "nothing_before" | "is_current";

/** The pointers after a change. A rollback can be rolled back: the two versions change places. */
export function changed(pointers: Pointers, change: PointerChange): Pointers | PointerRefusal {
  const { current, previous } = pointers;
  switch (change.to) {
    case "promote":
      return change.version === current ? pointers : inForce(pointers, change.version);
    case "rollback":
      return previous === null ? "nothing_before" : inForce(pointers, previous);
    case "shadow":
      return change.version === current ? "is_current" : { ...pointers, shadow: change.version };
    default:
      return change satisfies never;
  }
}

/** Nothing is its own shadow. */
function inForce({ current, shadow }: Pointers, next: string): Pointers {
  return { current: next, previous: current, shadow: shadow === next ? null : shadow };
}
