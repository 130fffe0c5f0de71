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

/** What was forgotten for lack of room. */
export interface Evicted {
  /** States, counted as in `SlotDetector.entities`, and parts of a state that outgrew its own bound. */
  entities: number;
  /** What those of them that were in alarm came to. */
  alarmed: readonly Finding[];
}

export const nothingEvicted: Evicted = { entities: 0, alarmed: [] };

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
  /** Memory that its state takes, in bytes: an estimate from the state alone, the same however it was reached. */
  readonly bytes: number;
  /** Entities remembered, over all open windows. */
  readonly entities: number;
  /**
   * Settles at a boundary of event time: packs what is small, and where `bytes` exceeds `bytesMax`, forgets the least
   * interesting until it does not. Depends on the state alone, never on batches. An entity that has a finding of
   * medium severity or above is forgotten only if `bytes` would still exceed `hardBytesMax`, the weakest first; those
   * are listed.
   */
  settle(bytesMax: number, hardBytesMax: number): Evicted;
}

/** One method of detection. Adding one: its file, a line in `index.ts`, a golden trace, a changelog line. */
export interface Detector<Settings extends object = object> {
  readonly id: Threat;
  /** Rises when saved bytes or scores change meaning. */
  readonly version: number;
  readonly defaults: Readonly<Settings>;
  create(settings: Readonly<Settings>, saved?: StateReader): SlotDetector;
  /** What an older version saved, as this one would have; undefined where that cannot be: then it starts empty. */
  migrate?(saved: StateReader, version: number): StateReader | undefined;
}
