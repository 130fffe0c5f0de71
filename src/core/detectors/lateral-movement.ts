import type { Detector } from "./detector.ts";
import { codec, type HostState } from "./lateral-movement/host-state.ts";
import { judge } from "./lateral-movement/judge.ts";
import { learn, tellVisitors } from "./lateral-movement/learn.ts";
import { remember } from "./lateral-movement/new-edges.ts";
import { pastCodec, type Past } from "./lateral-movement/past.ts";
import { dayMs, thresholds, version, type LateralMovementSettings } from "./lateral-movement/settings.ts";
import { windowed } from "./windowed.ts";

/**
 * Lateral movement: somebody goes from host to host inside, over the ports that administrators use.
 *
 * Method: per own host and UTC day, the distinct (target, administration port) among our own that it reached, and who of
 * our own reached it, each with the time of the first contact. What it did on closed days is known to it (a Bloom
 * filter), and how many new targets a day of it has at most; servers that many others reach as well do not count. A fan
 * of new targets that answered, `newTargetsMin` and twice its habit, is `medium`. So is a chain: a host that somebody
 * new reached, and that itself reaches somebody new over the same port within hours. A fan after such a visit is one
 * level worse. A host without two closed days has no past: it stays `low`, unless it was reached first and then spreads
 * like a worm.
 * Bounds: per host and day 32 edges and 16 visitors of 28 bytes, counts are exact up to there and ±18 % beyond; per host
 * a filter of 256 bytes once it has such edges. Of more than 64 sources within ten seconds, visitors may be unseen.
 * Misses: steps to hosts that are known to each other; fewer than five new targets without a chain; a chain that changes
 * the port, waits for hours, crosses midnight (UTC), or goes on before the record of the first login ends; hosts that
 * reach new ones every day; hosts behind one address.
 * Source: Neil et al., Scan Statistics for the Online Detection of Locally Anomalous Subgraphs, Technometrics 55(4) 2013
 * (stars and paths of edges that are new); the numbers are our own.
 */
export const lateralMovement: Detector<LateralMovementSettings> = {
  id: "lateral_movement",
  version,
  thresholds,
  create(settings, saved) {
    return windowed<HostState, Past, LateralMovementSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory: pastCodec,
        learn,
        judge,
        interest: ({ edges, visitors }) => 1 + edges.count() + visitors.size,
        isRemembered: ({ state }) => !codec.isSmall(state),
        remember: ({ state }, past, isAlarm) => remember(state, past, isAlarm),
        tell: ({ state, windowStartMs }, facts) => tellVisitors(state, windowStartMs, facts),
      },
      settings,
      saved,
    );
  },
};
