import type { Entry } from "../../slots/entity-windows.ts";
import type { NetworkFacts } from "../../slots/network-facts.ts";
import type { Finding, Observed, Severity } from "../../verdict.ts";
import { rounded, severityOf } from "../scoring.ts";
import type { Known } from "../windowed.ts";
import { findingOf } from "./finding.ts";
import type { HostState } from "./host-state.ts";
import { chainOf, newEdgesOf, type Chain, type NewEdges } from "./new-edges.ts";
import type { Past } from "./past.ts";
import type { LateralMovementSettings } from "./settings.ts";

/** Own hosts from which a service is everybody's: those that watch over others are a handful. */
const commonVisitorsMin = 20;

type Kind = "fan_out" | "chain" | "spreading";

export interface Judgement {
  kind: Kind;
  value: number;
  threshold: number;
  severity: Severity;
  found: NewEdges;
  chain: Chain | undefined;
  hasPast: boolean;
  past: Past | undefined;
  observed: Observed[];
}

export function judge(
  entry: Entry<HostState>,
  settings: Readonly<LateralMovementSettings>,
  known: Known<Past>,
): Finding | undefined {
  const { state } = entry;
  if (state.edges.size === 0) return undefined;
  const past = known.memoryOf(entry.address);
  const found = judgedEdges(state, past, known.facts, settings);
  // Mostly failed is a scan.
  if (found.count === 0 || found.failed > found.answered) return undefined;
  const chain = chainOf(state, found, past, settings.chainHoursMax);
  const hasPast = past !== undefined && past.days >= settings.historyDaysMin;
  const judged = hasPast ? judgeWithPast(found, chain, past, settings) : judgeWithoutPast(found, chain, settings);
  return judged && findingOf(entry, { ...judged, found, chain, hasPast, past }, settings);
}

/** New servers that everybody reaches are left out; but nobody comes to need so many of them within a day. */
function judgedEdges(
  state: HostState,
  past: Past | undefined,
  facts: NetworkFacts | undefined,
  { firstTargetsMin }: Readonly<LateralMovementSettings>,
): NewEdges {
  const all = newEdgesOf(state, past);
  if (!facts || all.count >= firstTargetsMin) return all;
  return newEdgesOf(state, past, (hash) => facts.sourcesOf(hash) >= commonVisitorsMin);
}

type Ruling = Pick<Judgement, "kind" | "value" | "threshold" | "severity" | "observed">;

function judgeWithPast(
  found: NewEdges,
  chain: Chain | undefined,
  past: Past,
  settings: Readonly<LateralMovementSettings>,
): Ruling | undefined {
  const { newTargetsMin, habitFactor } = settings;
  const usual = habitFactor * past.newMost;
  const threshold = Math.max(newTargetsMin, usual);
  const value = found.count;
  if (value >= threshold) {
    const severity = severityOf(value, threshold, chain ? 1 : 0);
    const observed = [{ threshold: "newTargetsMin", value }];
    if (past.newMost > 0) observed.push({ threshold: "habitFactor", value: rounded(value / past.newMost) });
    return { kind: "fan_out", value, threshold, severity, observed };
  }
  // A host that reaches new ones on most days has been reached before it by chance.
  if (!chain || value <= past.newMost) return undefined;
  const observed = [
    { threshold: "chainHoursMax", value: rounded(chain.hours) },
    { threshold: "historyDaysMin", value: past.days },
  ];
  return { kind: "chain", value: chain.links.length, threshold: 1, severity: "medium", observed };
}

function judgeWithoutPast(
  found: NewEdges,
  chain: Chain | undefined,
  settings: Readonly<LateralMovementSettings>,
): Ruling | undefined {
  const { newTargetsMin, firstTargetsMin } = settings;
  const value = found.count;
  if (chain && value >= firstTargetsMin) {
    const observed = [
      { threshold: "firstTargetsMin", value },
      { threshold: "chainHoursMax", value: rounded(chain.hours) },
    ];
    return {
      kind: "spreading",
      value,
      threshold: firstTargetsMin,
      severity: severityOf(value, firstTargetsMin),
      observed,
    };
  }
  if (value < newTargetsMin) return undefined;
  const observed = [{ threshold: "newTargetsMin", value }];
  return { kind: "fan_out", value, threshold: newTargetsMin, severity: "low", observed };
}
