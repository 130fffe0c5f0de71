import { Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

/** What can go wrong, each by a name that `--without` takes. */
export const faultKinds = [
  "crashes",
  "evictions",
  "lost_messages",
  "slow_storage",
  "failing_storage",
  "twins",
  "recuts",
  "reordering",
  "late_flows",
  "clock_jumps",
  "double_alarms",
  "deploys",
  "moves",
  "caps",
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** What a shipper posts under one name. */
export interface PlannedBatch {
  key: string;
  flows: TraceFlow[];
}

export interface PlannedTenant {
  name: string;
  shards: number;
  /** Whether its records have ids, so that a shipper that cuts them anew does no harm. */
  hasRecordIds: boolean;
  /** The batches of each shipper, in order. */
  shippers: PlannedBatch[][];
}

export interface Plan {
  seed: number;
  faults: ReadonlySet<FaultKind>;
  /** Chance of each fault where it can happen. */
  chance: number;
  allowanceMs: number;
  tenants: PlannedTenant[];
}

export interface PlanOptions {
  seed: number;
  without?: readonly FaultKind[];
  /** Batches of each shipper, from the first on; all unless told. */
  batches?: number;
  /** Decides what happens to the flows; the seed unless told. */
  schedule?: number;
}

const hourMs = 3_600_000;
const minuteMs = 60_000;

/** Everything that happens, from a seed. What one kind of fault draws does not shift what another gets. */
export function planOf({ seed, without = [], batches = Number.POSITIVE_INFINITY }: PlanOptions): Plan {
  const random = new Random(seed);
  const settings = random.fork("settings");
  const has = (kind: FaultKind, probability: number) =>
    random.fork(kind).chance(probability) && !without.includes(kind);
  const faults = new Set<FaultKind>(faultKinds.filter((kind) => has(kind, kind === "caps" ? 0.25 : 0.6)));
  const tenants = Array.from({ length: settings.int(1, 2) }, (_, i) => {
    const name = ["acme", "lab"][i];
    const flowsOf = random.fork(`flows of ${name}`);
    const hasRecordIds = settings.chance(0.5);
    const flows = trafficOf(flowsOf).map((flow, at) => (hasRecordIds ? { ...flow, recordId: at + 1 } : flow));
    const cutting = random.fork(`cutting ${name}`);
    const shippers = Array.from({ length: settings.int(1, 3) }, () => [] as TraceFlow[]);
    for (const flow of flows) cutting.pick(shippers).push(flow);
    const order = random.fork(`order of ${name}`);
    return {
      name,
      shards: settings.pick([1, 1, 2, 4]),
      hasRecordIds,
      shippers: shippers.map((own, s) => cut(ordered(own, order, faults), cutting, `${name}/${s}`).slice(0, batches)),
    };
  });
  return {
    seed,
    faults,
    chance: settings.pick([0.01, 0.03, 0.08]),
    allowanceMs: settings.pick([10 * minuteMs, 24 * hourMs]),
    tenants,
  };
}

/** By the end of the flows; a little out of order, and some much later, where the plan has that. */
function ordered(flows: readonly TraceFlow[], random: Random, faults: ReadonlySet<FaultKind>): TraceFlow[] {
  const jitterMs = faults.has("reordering") ? 3 * minuteMs : 0;
  const arrival = (flow: TraceFlow) => {
    const lateMs = faults.has("late_flows") && random.chance(0.04) ? random.int(5, 60) * minuteMs : 0;
    return endOf(flow) + random.next() * jitterMs + lateMs;
  };
  return flows
    .map((flow) => ({ flow, at: arrival(flow) }))
    .sort((a, b) => a.at - b.at)
    .map(({ flow }) => flow);
}

function cut(flows: TraceFlow[], random: Random, name: string): PlannedBatch[] {
  const batches: PlannedBatch[] = [];
  for (let from = 0; from < flows.length;) {
    const length = random.int(3, 40);
    batches.push({ key: `${name}/${batches.length}`, flows: flows.slice(from, from + length) });
    from += length;
  }
  return batches;
}

function endOf(flow: TraceFlow): number {
  return flow.startMs + (flow.durationMs ?? 100);
}

/** Two and a half hours of a small network in which every detector has something to find; by order of end. */
function trafficOf(random: Random): TraceFlow[] {
  const at = (minutes: number) => Math.floor(traceStartMs + minutes * minuteMs + random.next() * 5000);
  const failed = { outcome: Outcome.Unanswered, sourcePackets: 1, sourceBytes: 40 };
  const many = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i));
  const flows: TraceFlow[] = [
    ...many(random.int(60, 160), () => ({
      source: `10.0.0.${random.int(10, 25)}`,
      target: `203.0.113.${random.int(1, 60)}`,
      targetPort: random.pick([80, 443, 8443]),
      startMs: at(random.next() * 150),
      durationMs: random.int(1, 400_000),
    })),
    ...many(random.int(12, 40), (i) => ({
      source: "198.51.100.7",
      target: "10.0.0.5",
      targetPort: 1 + i,
      startMs: at(20 + i * random.pick([0.1, 0.5])),
      ...failed,
    })),
    ...many(random.int(30, 60), (i) => ({
      source: random.pick(["10.0.0.66", "10.0.0.66", "2001:db8:1::66"]),
      target: `10.0.7.${i + 1}`,
      targetPort: 445,
      startMs: at(50 + i / 4),
      ...failed,
    })),
    ...many(random.int(50, 90), () => ({
      source: `198.18.${random.int(0, 9)}.${random.int(1, 254)}`,
      target: "10.0.0.80",
      targetPort: 443,
      startMs: at(70),
      durationMs: 0,
      ...failed,
    })),
    ...many(random.int(20, 60), (i) => ({
      source: "10.0.0.20",
      target: "203.0.113.250",
      targetPort: 4444,
      startMs: at(2 * i + 0.1 * random.next()),
      sourceBytes: 240,
      targetBytes: 300,
    })),
    ...many(random.int(20, 50), (i) => ({
      source: "10.0.0.81",
      target: `192.0.2.${1 + i}`,
      targetPort: 53,
      protocol: Protocol.Udp,
      startMs: at(100),
      sourcePackets: 0,
      sourceBytes: 0,
      targetPackets: 2,
      targetBytes: 2800,
      outcome: Outcome.Unknown,
    })),
  ];
  return flows.sort((a, b) => endOf(a) - endOf(b));
}
