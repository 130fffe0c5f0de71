import type { LoginAttempts } from "../../sketches/login-attempts.ts";
import type { LoginVisits } from "../../sketches/login-visits.ts";
import { gapsOf, quantile, spreadOf } from "../regularity.ts";
import { sentBytesMin, Service, services } from "./services.ts";

/** Of sizes, within which they are alike: names and passwords differ in length, and clients pad. */
export const alikeWidth = 0.2;
/** Sizes from which a plateau is one. */
export const sizesMin = 8;
/** A failed login sends no more: what sends more did something. */
export const attemptBytesMax = 10_000;
/** Of a database: an error, not a result. */
const errorBytesMax = 1500;
/** Bits of 64 that source ports set: 20 new ones set 17, and slices of one connection one. */
const portBitsMin = 6;

/** A service's attempts that look like logins. */
export interface Plateau {
  port: number;
  count: number;
  /** Most within ten minutes. */
  peak: number;
  medianBytes: number;
  alikeShare: number;
  /** Ascending starts relative to the day, and the bytes of each. */
  atMs: readonly number[];
  bytes: readonly number[];
}

/** Share of the sizes, at most, that lie below the plateau and are left out: servers that are busy hang up early. */
const cutShortShareMax = 0.25;

function shareAlike(values: readonly number[], median: number): number {
  const below = values.filter((value) => value < (1 - alikeWidth) * median).length;
  const alike = values.filter((value) => Math.abs(value - median) <= alikeWidth * median).length;
  return alike / (values.length - Math.min(below, cutShortShareMax * values.length));
}

/** Undefined where the attempts are few, or cannot be logins. */
export function plateauOf(one: LoginAttempts, countMin: number): Plateau | undefined {
  const { port, series, count } = one;
  if (count < countMin || series.sourcePorts < portBitsMin) return undefined;
  const { atMs, bytes } = series.ring.starts();
  // What failed sent a packet or two: of the sizes, so many of the least.
  const lost = Math.round(series.unansweredShare * bytes.length);
  const sizes = bytes.toSorted((x, y) => x - y).slice(lost);
  if (sizes.length < Math.min(sizesMin, countMin)) return undefined;
  const medianBytes = quantile(sizes, 0.5);
  if (medianBytes > attemptBytesMax || medianBytes < (sentBytesMin.get(port) ?? 1)) return undefined;
  if (services[port] === Service.Database && series.targetBytes > errorBytesMax * series.requests) return undefined;
  const peak = Math.floor((one.busiest * count) / series.requests);
  return { port, count, peak, medianBytes, alikeShare: shareAlike(sizes, medianBytes), atMs, bytes };
}

/** Gaps this long and this alike are a timer's: a job that runs every few minutes. */
const timerMsMin = 20_000;
const timerSpread = 0.02;

export function isTimed(atMs: readonly number[]): boolean {
  const { median, mad } = spreadOf(gapsOf(atMs), 1);
  return median >= timerMsMin && mad <= timerSpread * median;
}

export function visitSizes(one: LoginVisits): { medianBytes: number; alikeShare: number } {
  const sizes = one.sizes().sort((x, y) => x - y);
  const medianBytes = quantile(sizes, 0.5);
  return { medianBytes, alikeShare: sizes.length < sizesMin ? 0 : shareAlike(sizes, medianBytes) };
}
