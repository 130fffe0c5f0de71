import type { Contacts } from "../flow/contacts.ts";
import type { FactsOfSlot, NetworkFacts } from "../slots/network-facts.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import type { Shown } from "../features/candidate.ts";
import type { AddressWords, Finding, Threat } from "../verdict.ts";
import type { Thresholds } from "./thresholds.ts";

/** Indexes into the columns of contacts. */
export interface ContactIndexes {
  /** By source: consecutive ones share it where they can. */
  pairs: Uint32Array;
  targets: Uint32Array;
  prefixes: Uint32Array;
  sessions: Uint32Array;
}

/** The contacts of one slot, without those that are late for it. */
export interface SlotContacts extends ContactIndexes {
  contacts: Contacts;
  /** Of the pairs, those from one of the tenant's own to an outsider; and those among the tenant's own. */
  outbound: Uint32Array;
  inside: Uint32Array;
}

export function slotContacts(contacts: Contacts, indexes: ContactIndexes): SlotContacts {
  const { pairs, internal } = contacts;
  const [outbound, inside] = [new Uint32Array(indexes.pairs.length), new Uint32Array(indexes.pairs.length)];
  let [out, within] = [0, 0];
  for (const i of indexes.pairs) {
    if (internal[pairs.source[i]] === 0) continue;
    if (internal[pairs.target[i]] === 0) outbound[out++] = i;
    else inside[within++] = i;
  }
  return { contacts, ...indexes, outbound: outbound.subarray(0, out), inside: inside.subarray(0, within) };
}

/** A finding, and whether its window has closed, so that nothing can change it any more. */
export interface Opinion<Settings extends object = object> {
  finding: Finding;
  final: boolean;
  /** Judges the same state by other settings: what the counterfactual is computed with. */
  judge?: (settings: Readonly<Settings>) => Finding | undefined;
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
  findings(closedMs: number, facts?: NetworkFacts): Opinion[];
  /** Other settings are in force from now on. */
  configure(settings: object): void;
  /** Tells what it knows of the network as a whole: on what closed since the last call, or on everything. */
  tell?(facts: FactsOfSlot, everything: boolean): void;
  /**
   * Hosts that models should look at: of those whose window closed since the last call, and of `suspects`, on which there
   * is a new finding. At most `candidatesMax`.
   */
  candidates?(suspects: readonly AddressWords[], facts: NetworkFacts): Shown[];
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

/** One method of detection. Adding one: its file, a line in `index.ts`, a trace in `test/golden`, a changelog line. */
export interface Detector<Settings extends object = object> {
  readonly id: Threat;
  /** Rises when saved bytes or scores change meaning. */
  readonly version: number;
  readonly thresholds: Thresholds<Settings>;
  /** Its findings are `low` at most: the scoreboard does not vouch for it yet. */
  readonly isExperimental?: true;
  create(settings: Readonly<Settings>, saved?: StateReader): SlotDetector;
  /** What an older version saved, as this one would have; undefined where that cannot be: then it starts empty. */
  migrate?(saved: StateReader, version: number): StateReader | undefined;
}
