import { severities, type AddressWords, type Finding } from "../verdict.ts";

/** What is forgotten as one. */
export interface Forgettable {
  address: AddressWords;
  windowStartMs: number;
  bytes: number;
  /** Higher stays longer; 0 for what is small. From the state alone. */
  interest: number;
}

/** What is forgotten makes room down to this share of the bound, so that it happens seldom. */
const keptShare = 0.75;

const alarmFrom = severities.indexOf("medium");

/** Whether anyone is to act on it: what rests on it is kept. */
export function isAlarm({ severity }: Finding): boolean {
  return severities.indexOf(severity) >= alarmFrom;
}

export interface Bounds {
  bytesMax: number;
  hardBytesMax: number;
}

/**
 * Chooses what to forget of states that take more than `bytesMax`: the least interesting first, but those with an
 * alarm only where the others leave more than `hardBytesMax`, the weakest first. `findingsOf` judges afresh, and only
 * what is about to be forgotten.
 */
export function chooseForgotten<F extends Forgettable>(
  all: readonly F[],
  { bytesMax, hardBytesMax }: Bounds,
  findingsOf: (one: F) => readonly Finding[],
): { forgotten: F[]; alarmed: Finding[] } {
  let bytes = all.reduce((sum, one) => sum + one.bytes, 0);
  const forgotten: F[] = [];
  const spared: { one: F; alarms: Finding[] }[] = [];
  for (const one of all.toSorted(byInterest)) {
    if (bytes <= keptShare * bytesMax) break;
    const alarms = one.interest === 0 ? [] : findingsOf(one).filter(isAlarm);
    if (alarms.length > 0) {
      spared.push({ one, alarms });
      continue;
    }
    forgotten.push(one);
    bytes -= one.bytes;
  }
  const alarmed: Finding[] = [];
  for (const { one, alarms } of spared.sort((a, b) => strength(a.alarms) - strength(b.alarms))) {
    if (bytes <= hardBytesMax) break;
    forgotten.push(one);
    alarmed.push(...alarms);
    bytes -= one.bytes;
  }
  return { forgotten, alarmed };
}

/** Ties go by window, then by address: never by order of arrival. */
function byInterest(a: Forgettable, b: Forgettable): number {
  return a.interest - b.interest || a.windowStartMs - b.windowStartMs || byAddress(a.address, b.address);
}

export function byAddress(a: AddressWords, b: AddressWords): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}

/** By severity, then by score, which is 1 at most. Equal ones keep the order of interest. */
function strength(alarms: readonly Finding[]): number {
  return Math.max(...alarms.map(({ severity, score }) => 2 * severities.indexOf(severity) + score));
}
