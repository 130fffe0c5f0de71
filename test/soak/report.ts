import { quantile } from "../../src/cli/statistics.ts";
import { table, thousands } from "../../src/cli/table.ts";
import type { KillResult, SoakResult } from "./run.ts";
import type { MemoryFigures } from "./samples.ts";

/** Least growth that is held against it, in MB a minute: less drowns in what a garbage collector does. */
const slopeFloorMb = 8;
const slopeShareMax = 0.02;
/** Too short to tell growth from filling up. */
const minutesMin = 3;

/** Why a run failed; nothing if it did not. */
export function failuresOf(result: SoakResult): string[] {
  const { shipped, caps, latency, kill } = result;
  return [
    ...caps.broken.map(
      ({ gauge, shard, value, bound }) =>
        `cap broken: ${gauge} of shard ${shard} was ${thousands(value)}, bound ${thousands(bound)}`,
    ),
    // Beside kills a second says nothing: it is shown, and fails no run.
    ...(latency.slow.length > 0 && !kill
      ? [
          `${latency.slow.length} requests took over a second, the slowest ${Math.max(...latency.slow.map(({ ms }) => ms)).toFixed(0)} ms`,
        ]
      : []),
    ...shipped.notAcknowledged.map((what) => `never acknowledged: ${what}`),
    ...(shipped.late > 0 ? [`set-up: ${thousands(shipped.late)} records were late`] : []),
    ...(isFlat(result) === false
      ? [`memory is not flat: ${result.memory.slope_after_first_half?.toFixed(1)} MB a minute in the second half`]
      : []),
    ...(kill ? killFailures(kill) : []),
  ];
}

function killFailures({ killed, undisturbed, late_records, kills }: KillResult): string[] {
  const lost = kills.reduce((sum, { lost_slots, set_aside }) => sum + lost_slots + set_aside, 0);
  return [
    ...(late_records > 0 ? [`set-up: late_records is ${thousands(late_records)}, must be 0`] : []),
    ...(lost > 0 ? [`${lost} slots or blobs were lost on restores`] : []),
    ...(killed.provisional + undisturbed.provisional > 0 ? ["verdicts are still provisional after the end"] : []),
    ...(undisturbed.lines.length === 0 ? ["set-up: the undisturbed run found nothing"] : []),
    ...(killed.digest === undisturbed.digest ? [] : ["the digests differ"]),
  ];
}

/** Undefined where nobody can tell. */
function isFlat({ memory, minutes, kill }: SoakResult): boolean | undefined {
  const { slope_after_first_half: slope, rss_mb_at_end: rss } = memory;
  if (kill || minutes < minutesMin || slope === null || rss === null) return undefined;
  return slope <= Math.max(slopeFloorMb, slopeShareMax * rss);
}

const differencesShown = 10;

export function reportText(result: SoakResult): string {
  const { shipped, latency, caps, last, kill, load_s } = result;
  const failures = failuresOf(result);
  const others = Object.entries(latency.others).map(([outcome, count]) => `${count} × ${outcome}`);
  const rows: [string, string][] = [
    [
      "flows sent",
      `${thousands(shipped.flows)} in ${thousands(shipped.bodies)} batches, ${load_s.toFixed(0)} s, ${thousands(shipped.flows / load_s)} a second`,
    ],
    ["distinct entities", thousands(result.distinct_entities)],
    [
      "requests",
      `${thousands(latency.requests)}${others.length > 0 ? `; not answered 200: ${others.join(", ")}` : ", all answered 200"}`,
    ],
    [
      "request time",
      `p50 ${latency.p50_ms.toFixed(0)} ms, p99 ${latency.p99_ms.toFixed(0)} ms, max ${latency.max_ms.toFixed(0)} ms${kill ? " (away from kills)" : ""}`,
    ],
    [
      "over a second",
      `${latency.slow.length}${
        latency.slow.length > 0
          ? `: ${latency.slow
              .slice(0, 5)
              .map(({ path, at_s, ms }) => `${path} at ${at_s.toFixed(0)} s, ${ms.toFixed(0)} ms`)
              .join("; ")}`
          : ""
      }`,
    ],
    ["memory (RSS)", memoryText(result.memory)],
    ["memory flat", flatText(result)],
    [
      "fullest slot",
      `${thousands(caps.slot_state_bytes_max)} bytes, hard bound ${thousands(caps.slot_state_bytes_hard)}`,
    ],
    ["caps", caps.broken.length === 0 ? "held" : "broken"],
    [
      "state at the end",
      `${thousands(last.entities)} states, ${thousands(last.state_bytes)} bytes; evicted ${thousands(last.evicted_entities)}, late ${thousands(last.late_records)}, pending ${thousands(last.pending_verdicts)}, batch keys ${thousands(last.batch_keys)}`,
    ],
    ...(kill ? killRows(kill, result) : []),
  ];
  return [
    `seed ${result.seed}, ${result.minutes} min, ${thousands(result.rate)} flows/s wanted, ${result.shards} ${result.shards === 1 ? "shard" : "shards"}`,
    "",
    table(["", ""], rows).trimStart(),
    ...(kill ? differencesText(kill) : []),
    "",
    failures.length === 0 ? "good" : failures.map((failure) => `FAILED: ${failure}`).join("\n"),
  ].join("\n");
}

function memoryText(memory: MemoryFigures): string {
  if (memory.rss_mb_at_end === null) return "skipped: this system has no /proc";
  const mb = (value: number | null) => (value === null ? "-" : `${value.toFixed(0)} MB`);
  const slope = (value: number | null) => (value === null ? "-" : value.toFixed(1));
  return (
    `${mb(memory.rss_mb_at_20_percent)} at 20 %, ${mb(memory.rss_mb_at_50_percent)} at 50 %, ${mb(memory.rss_mb_at_end)} at the end, ` +
    `max ${mb(memory.rss_mb_max)}; slope ${slope(memory.slope_after_first_quarter)} MB/min after the first quarter, ${slope(memory.slope_after_first_half)} after the half`
  );
}

function flatText(result: SoakResult): string {
  const flat = isFlat(result);
  if (flat !== undefined) return flat ? "yes" : "no";
  if (result.memory.rss_mb_at_end === null) return "skipped: this system has no /proc";
  return result.kill ? "not judged: each restart begins anew" : `not judged: under ${minutesMin} minutes`;
}

function killRows(
  { kills, killed, undisturbed, late_records, evicted_entities }: KillResult,
  { shipped }: SoakResult,
): [string, string][] {
  const spread = (values: number[]) =>
    [0.5, 0.99, 1].map((share) => quantile(values, share)?.toFixed(0) ?? "-").join(" / ");
  const most = (values: number[]) => thousands(Math.max(...values));
  const threats = Object.entries(undisturbed.by_threat).map(([threat, count]) => `${count} ${threat}`);
  return [
    [
      "kills",
      `${kills.length} × SIGKILL, ${kills.filter(({ in_flight }) => in_flight > 0).length} with requests in flight, as many restarts`,
    ],
    [
      "batches retried",
      `${shipped.retried}: ${shipped.duplicates} had been applied before, ${shipped.repaired} in part`,
    ],
    [
      "restart",
      `${spread(kills.map(({ restart_ms }) => restart_ms))} ms from the kill to a listening process (p50 / p99 / max)`,
    ],
    [
      "restore",
      `${spread(kills.map(({ restore_ms }) => restore_ms))} ms from its first request to the answer (p50 / p99 / max); CPU ${spread(kills.flatMap(({ restore_cpu_ms }) => restore_cpu_ms ?? []))} ms`,
    ],
    [
      "restored",
      `at most ${most(kills.map(({ log_entries }) => log_entries))} log entries, ${most(kills.map(({ bytes }) => bytes))} bytes; ${most(kills.map(({ lost_slots }) => lost_slots))} slots lost, ${most(kills.map(({ set_aside }) => set_aside))} blobs set aside`,
    ],
    [
      "set-up",
      `late_records ${thousands(late_records)}, evicted_entities ${thousands(evicted_entities)}: the first must be 0; where the second is not, order may matter`,
    ],
    [
      "end",
      `${killed.end_ms.toFixed(0)} ms with a kill in it, ${killed.settled_ms.toFixed(0)} ms more until all was stored; undisturbed ${undisturbed.end_ms.toFixed(0)} ms`,
    ],
    [
      "final verdicts",
      `${killed.lines.length} with kills, ${undisturbed.lines.length} undisturbed (${threats.join(", ")}); provisional ${killed.provisional} and ${undisturbed.provisional}, withdrawn ${killed.withdrawn} and ${undisturbed.withdrawn}`,
    ],
    ["digest with kills", killed.digest],
    ["digest undisturbed", undisturbed.digest],
  ];
}

function differencesText({ only_killed, only_undisturbed }: KillResult): string[] {
  const shown = (title: string, lines: string[]) =>
    lines.length === 0 ? [] : ["", `${title}: ${lines.length}`, ...lines.slice(0, differencesShown)];
  return [...shown("only with kills", only_killed), ...shown("only undisturbed", only_undisturbed)];
}
