import type { Contacts } from "../flow/contacts.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import type { Finding, Threat } from "../verdict.ts";

/** The contacts of one slot: indexes into the columns of `contacts`, without those that are late for the slot. */
export interface SlotContacts {
  contacts: Contacts;
  pairs: Uint32Array;
  targets: Uint32Array;
}

/** A finding, and whether its window has closed, so that nothing can change it any more. */
export interface Opinion {
  finding: Finding;
  final: boolean;
}

/**
 * One detector's memory of one slot.
 *
 * Learning is a sum: contacts may come in any order and any cut (promise 3, rule 2). Windows are spans of event time,
 * and a slot never shows a detector contacts of a window that it has closed.
 */
export interface SlotDetector {
  /** Adds contacts to the open windows. Never reports. */
  learn(contacts: SlotContacts): void;
  /**
   * Opinions on the entities that changed since the last call; then, for windows that end at or before `closedMs`,
   * the final ones on all entities, and those windows are forgotten. Never learns.
   */
  findings(closedMs: number): Opinion[];
  /** Writes what `create` takes back after an eviction. */
  save(writer: StateWriter): void;
}

/** One method of detection. Adding one: its file, a line in `index.ts`, a golden trace, a changelog line. */
export interface Detector<Settings extends object = object> {
  readonly id: Threat;
  /** Rises when saved bytes or scores change meaning. */
  readonly version: number;
  readonly defaults: Readonly<Settings>;
  create(settings: Readonly<Settings>, saved?: StateReader): SlotDetector;
}
