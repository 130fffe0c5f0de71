import type { Habit } from "../sketches/habit.ts";
import type { Detector } from "./detector.ts";
import { codec, hourMs, isPrefix, memory, ownSources, type FloodState } from "./ddos/flood-state.ts";
import { judgeTarget } from "./ddos/judge.ts";
import { learn } from "./ddos/learn.ts";
import { isNotable, measured } from "./ddos/measured.ts";
import { thresholds, version, type DdosSettings } from "./ddos/settings.ts";
import { windowed, type Windowed } from "./windowed.ts";

const dayMs = 24 * hourMs;

/** Shared by all slots. */
const floods: Windowed<FloodState, Habit, DdosSettings> = {
  lengthMs: hourMs,
  codec,
  memory,
  forgetMs: 14 * dayMs,
  learn,
  judge: judgeTarget,
  interest: ({ direct, reflected }) => 1 + (direct?.flows ?? 0) + (reflected?.flows ?? 0),
  // What is small is forgotten sooner or later than its window closes, as it happens: it makes no habit.
  isRemembered: ({ state }) =>
    state.internal && !codec.isSmall(state) && (isNotable(state.direct) || isNotable(state.reflected)),
  remember({ address, windowStartMs, state }, habit, isAlarm) {
    if (!isAlarm) habit.learn(windowStartMs + hourMs, measured(state, isPrefix(address)));
  },
  tell({ state, windowStartMs }, facts) {
    if (state.addressHash !== 0) facts.addSources(state.addressHash >>> 0, ownSources(state), windowStartMs);
  },
};

/**
 * DDoS: more reaches one target, or one of our networks, than it can have asked for.
 *
 * Method: per target, minute of event time and kind of traffic, sums of flows, packets and bytes, and how many came to
 * nothing; the same per /24 (/48) of our own, over what comes from outside; per target and hour, a bottom-k sample of
 * the sources. A finding is one minute over a threshold, or many:
 * - requests without an answer that outnumber the answered ones (SYN floods and their kin), from any number of sources;
 * - the same below that threshold but for many minutes: a CUSUM of what is without an answer, less what was answered
 *   and what is usual;
 * - replies that the target never asked for (reflection), from many reflectors;
 * - packets or bytes that are hardly answered, from many sources, or from few where their lack is plain;
 * - the same over a prefix, where many of its hosts are hit (carpet bombing).
 * A threshold is a floor until the target's own habit is known (the last four hours, and the P95 of a week); then a
 * multiple of that, but never below the floor nor above the ceiling. Hours with an alarm teach nothing.
 * Floods that leave our networks are seen at their target, with our own hosts as peers.
 * Bounds: per target and hour 60 rows of 44 bytes for each kind of traffic, 64 sources of 28 bytes; the number of
 * sources is exact up to 64 and ±13 % beyond. A habit takes about a kilobyte, and only busy targets of our own have one.
 * Misses: floods of requests that are mostly answered (floods of pages, of name lookups); SYNs spread over a prefix by
 * fewer than ten sources, which look like a scan and are reported as one; TCP reflection by middleboxes that send
 * pages; floods of a hundred requests a minute; a slow rise, by less than the tolerance each hour, up to the ceiling. In
 * a log that shows one direction only, a busy host of short exchanges looks flooded, or reflected upon, until that is
 * known to be its habit; a prefix seems hit as well where its other hosts are scanned at the same time.
 * Source: thresholds on packets and bits: FastNetMon's defaults (20,000 packets/s, 1 Gbit/s), which hold for targets
 * without a habit; half-open excess and its CUSUM: Wang, Zhang, Shin, Detecting SYN Flooding Attacks, INFOCOM 2002;
 * floor, tolerance and ceiling: Microsoft's and Cloudflare's adaptive limits; factors: see `amplifications`.
 */
export const ddos: Detector<DdosSettings> = {
  id: "ddos",
  version,
  thresholds,
  create: (initial, saved) => windowed(floods, initial, saved),
};
