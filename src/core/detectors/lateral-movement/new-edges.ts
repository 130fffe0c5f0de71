import { bucketMs } from "../../flow/contacts.ts";
import { Edge, labelPort, positions, type HostState } from "./host-state.ts";
import { isKnown, know, visitHash, type Past } from "./past.ts";
import { smallRequestsMax } from "./host-state.ts";

const hourMs = 3_600_000;

/** Edges of a day that are new and answered, and how they compare with the others. */
export interface NewEdges {
  /** Positions in the sample: of each new target the first, by time. */
  targets: number[];
  /** All of them, by time. */
  edges: number[];
  /** Of all edges: answered, and those that only failed. */
  answered: number;
  failed: number;
  /** Edges to servers that many others reach as well. */
  common: number;
  /** New targets, estimated beyond what is kept. */
  count: number;
}

/** `isCommon` tells of an edge's hash whether many others reach the same. */
export function newEdgesOf(
  { edges }: HostState,
  past: Past | undefined,
  isCommon = (_hash: number) => false,
): NewEdges {
  const found: NewEdges = { targets: [], edges: [], answered: 0, failed: 0, common: 0, count: 0 };
  for (let i = 0; i < edges.size; i++) {
    if ((edges.flags(i) & Edge.Answered) === 0) {
      if ((edges.flags(i) & Edge.Failed) !== 0) found.failed++;
      continue;
    }
    found.answered++;
    if (isKnown(past, edges.hash(i))) continue;
    if (isCommon(edges.hash(i))) found.common++;
    else found.edges.push(i);
  }
  found.edges.sort((a, b) => edges.label(a) - edges.label(b) || a - b);
  const seen = new Set<number>();
  for (const i of found.edges) {
    const host = edges.firstWithAddress(i);
    if (seen.size < seen.add(host).size) found.targets.push(i);
  }
  found.count = Math.round((found.targets.length * edges.count()) / Math.max(1, edges.size));
  return found;
}

/** Somebody new came, and then the host reached others that are new, over the same port. */
export interface Chain {
  /** Position of the visitor. */
  visitor: number;
  /** Positions of the edges, by time. */
  links: number[];
  /** From the visit to the first of them. */
  hours: number;
}

const newVisitorsMax = 3;

export function chainOf(
  state: HostState,
  found: NewEdges,
  past: Past | undefined,
  hoursMax: number,
): Chain | undefined {
  const { visitors, visitsAnswered } = state;
  if (found.edges.length === 0 || visitsAnswered === 0) return undefined;
  const fresh = positions(visitors).filter((i) => !isKnown(past, visitHash(visitors.hash(i))));
  // A server has many that are new, on its first day at least.
  if (fresh.length > newVisitorsMax) return undefined;
  let best: Chain | undefined;
  for (const visitor of fresh) {
    const links = linksAfter(state, visitor, found, hoursMax);
    if (links.length === 0 || (best && links.length <= best.links.length)) continue;
    best = { visitor, links, hours: hoursBetween(visitors.label(visitor), state.edges.label(links[0])) };
  }
  return best;
}

function linksAfter(
  { visitors, edges }: HostState,
  visitor: number,
  { edges: fresh }: NewEdges,
  hoursMax: number,
): number[] {
  const label = visitors.label(visitor);
  const from = String(visitors.address(visitor));
  return fresh.filter((i) => {
    const hours = hoursBetween(label, edges.label(i));
    const isSamePort = labelPort(edges.label(i)) === labelPort(label);
    return isSamePort && hours > 0 && hours <= hoursMax && String(edges.address(i)) !== from;
  });
}

/** From the bucket of one label to that of another. */
function hoursBetween(first: number, second: number): number {
  return ((Math.floor(second / 65_536) - Math.floor(first / 65_536)) * bucketMs) / hourMs;
}

/** By so much a habit fades in a day. */
const fadingShare = 6 / 7;

export function remember(state: HostState, past: Past, isAlarm: boolean): void {
  const { edges, visitors, requests } = state;
  const found = newEdgesOf(state, past);
  past.newMost *= fadingShare;
  // On the first day all is new, and an alarm is no habit.
  if (past.learnt > 0 && !isAlarm) past.newMost = Math.max(past.newMost, found.count);
  past.learnt++;
  if (requests > smallRequestsMax) past.days++;
  for (let i = 0; i < edges.size; i++) if ((edges.flags(i) & Edge.Answered) !== 0) know(past, edges.hash(i));
  for (let i = 0; i < visitors.size; i++) know(past, visitHash(visitors.hash(i)));
}
