import type { Cost } from "../../test/bench/cost.ts";
import { installNative, runModelBench, type ModelBenchResult } from "../../test/bench/models.ts";
import { runBench, type BenchResult } from "../../test/bench/run.ts";
import type { Spread } from "../../test/bench/spread.ts";
import { command, oneOf, wholeNumber } from "./command.ts";
import { table, thousands } from "./table.ts";

export const bench = command({
  meta: { name: "bench", description: "Measure parsing, the way end to end, latency, and models" },
  args: {
    seed: { type: "string", default: "1", description: "Seed of the traffic" },
    rounds: { type: "string", default: "7", description: "Rounds that count" },
    bodies: { type: "string", default: "40", description: "Bodies of 5,000 flows in a round" },
    part: { type: "string", default: "all", description: "all, flows or models" },
    native: {
      type: "boolean",
      description: "Measure the native ONNX Runtime beside, installed into a temporary folder",
    },
    json: { type: "boolean", description: "The result as JSON" },
  },
  async run({ args }) {
    const rounds = wholeNumber("rounds", args.rounds, 1, 100);
    const options = {
      seed: wholeNumber("seed", args.seed, 0, 0xffffff),
      rounds,
      bodies: wholeNumber("bodies", args.bodies, 1, 1000),
    };
    const part = oneOf("part", args.part, ["all", "flows", "models"]);
    const say = (text: string) => void process.stderr.write(`${text}\n`);
    const native = args.native ? await installNative(say) : process.env[nativeVariable];
    const flows = part === "models" ? undefined : await runBench(options, say);
    const models = part === "flows" ? undefined : await runModelBench({ rounds, native }, say);
    const reports = [flows && report(flows), models && modelReport(models)].filter((text) => text !== undefined);
    console.log(args.json ? JSON.stringify({ ...flows, ...(models && { models }) }, null, 1) : reports.join("\n\n"));
  },
});

/** The folder of an `npm install onnxruntime-node`. */
const nativeVariable = "WEIR_ONNXRUNTIME_NODE";

const partNames = {
  gunzip: "gunzip alone",
  gunzip_parse: "gunzip and parse",
  script: "gunzip and a script (lines, split, Map)",
  detectors: "all detectors, nothing else",
  log_seal_keys: "log, seal and keys, in an object",
  seal: "sealing alone",
  chain: "security chain alone",
  end_to_end: "end to end over HTTP",
};

function report({
  seed,
  rounds,
  bodies,
  basis,
  parse_flows_per_s,
  us_per_flow,
  wall_flows_per_s,
  core_flows_per_s,
  ratio_percent,
  durability_percent,
  chain_percent,
  seal_percent,
  costs,
  state,
  restore,
  latency,
}: BenchResult): string {
  const cells = (spread: Spread, digits: number) =>
    [spread.median, spread.min, spread.max].map((x) => x.toFixed(digits));
  const whole = (spread: Spread) => [spread.median, spread.min, spread.max].map(thousands);
  const parts = (
    ["gunzip", "gunzip_parse", "script", "detectors", "log_seal_keys", "seal", "chain", "end_to_end"] as const
  ).map((part) => [partNames[part], ...cells(us_per_flow[part], 3), thousands(1e6 / us_per_flow[part].median)]);
  return [
    `seed ${seed}, ${rounds} rounds of ${bodies} bodies of 5,000 flows, interleaved`,
    "",
    table(
      ["parse alone, in node, flows/s", "median", "min", "max"],
      Object.entries(parse_flows_per_s).map(([format, spread]) => [format, ...whole(spread)]),
    ),
    "",
    table(
      [
        `in workerd, µs per flow (${basis === "cpu" ? "CPU of the process" : "time on the clock"})`,
        "median",
        "min",
        "max",
        "flows/s",
      ],
      parts,
    ),
    "",
    `end to end ÷ gunzip and parse: ${cells(ratio_percent, 1).join(" / ")} % (median / min / max; wanted ≥ 20)`,
    `log, seal and keys ÷ end to end: ${cells(durability_percent, 1).join(" / ")} % (median / min / max; wanted ≤ 20)`,
    `security chain ÷ end to end: ${cells(chain_percent, 2).join(" / ")} % (wanted ≤ 3); sealing: ${cells(seal_percent, 2).join(" / ")} % (wanted ≤ 5)`,
    "",
    table(
      ["$ per 10⁹ flows", ...costs.map(({ shards }) => `${shards} shard${shards > 1 ? "s" : ""} a batch`)],
      costRows(costs),
    ),
    "",
    `end to end: ${thousands(core_flows_per_s)} flows/s on one core; on the clock ${whole(wall_flows_per_s).join(" / ")} flows/s`,
    `state: ${thousands(state.bytes_per_entity)} bytes per entity (${thousands(state.entities)} of them, ${thousands(state.flows)} flows)`,
    `restore of a full shard: ${Math.round(restore.ms)} ms (${thousands(restore.entities)} entities, ${(restore.state_bytes / 1e6).toFixed(0)} MB of memory; ${(restore.blob_bytes / 1e6).toFixed(0)} MB read, ${restore.log_entries} log entries done again; wanted ≤ 1,000)`,
    `latency at ${thousands(latency.flows_per_s)} flows/s, ${latency.batches} batches of ${thousands(latency.flows_per_batch)}: p50 ${latency.p50_ms.toFixed(1)} ms, p99 ${latency.p99_ms.toFixed(1)} ms (wanted ≤ 1,000)`,
    `with an attack in them: ${latency.attacks_stored} of ${latency.attacks} answered with stored verdicts, p99 ${latency.attack_p99_ms.toFixed(1)} ms`,
  ].join("\n");
}

/** Wanted at 64 rows a run, over the native runtime. */
const ratioMax = { isolation_forest: 1.5, lstm_autoencoder: 4.5 };

function modelReport({
  rounds,
  basis,
  models,
  explain_us_per_row: explain,
  score_us_per_row: score,
  cold_ms: cold,
  memory_bytes: memory,
}: ModelBenchResult): string {
  const cells = (spread: Spread | null, digits: number) =>
    spread ? [spread.median, spread.min, spread.max].map((x) => x.toFixed(digits)).join(" / ") : "–";
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  return [
    `models, ${rounds} rounds, interleaved: median / min / max`,
    "",
    table(
      [
        `µs per row (${basis === "cpu" ? "CPU of the process" : "time on the clock"})`,
        "rows a run",
        "in workerd",
        "native",
        "ratio",
        "wanted",
      ],
      models.map(({ model, rows, web, native, ratio }) => [
        model,
        thousands(rows),
        cells(web, 2),
        cells(native, 2),
        cells(ratio, 2),
        rows === 64 ? `≤ ${ratioMax[model]}` : "",
      ]),
    ),
    "",
    `all that tier 2 does, at 64 rows: isolation_forest ${cells(score.isolation_forest, 2)}, lstm_autoencoder ${cells(score.lstm_autoencoder, 2)} µs per row`,
    `which features shorten a forest's paths: ${cells(explain, 2)} µs per row, of strange rows only`,
    `cold, ms: runtime ${cells(cold.start, 0)}; first session ${cells(cold.first_session, 0)}; second ${cells(cold.second_session, 0)}; later ones ${cells(cold.later_session, 1)}`,
    `linear memory, MiB: ${megabytes(memory.started)} started, ${megabytes(memory.open)} with both models, ${megabytes(memory.run)} after runs of 256 rows, ${megabytes(memory.reopened)} after 100 sessions more`,
  ].join("\n");
}

/** Every term of the bill, with what it was counted from. */
function costRows(costs: readonly Cost[]): string[][] {
  const dollars = (name: string, of: (cost: Cost) => number, basis: (cost: Cost) => string) => [
    name,
    ...costs.map((cost) => `${of(cost).toFixed(3)} (${basis(cost)})`),
  ];
  return [
    dollars(
      "CPU",
      ({ dollars: d }) => d.cpu,
      (cost) => `${cost.cpu_us_per_flow.toFixed(2)} µs a flow`,
    ),
    dollars(
      "requests",
      ({ dollars: d }) => d.requests,
      (cost) => `${thousands(cost.flows_per_batch)} flows each`,
    ),
    dollars(
      "object calls",
      ({ dollars: d }) => d.calls,
      (cost) => `${cost.calls_per_batch} a batch`,
    ),
    dollars(
      "object duration",
      ({ dollars: d }) => d.duration,
      () => "at most",
    ),
    dollars(
      "object rows",
      ({ dollars: d }) => d.rows,
      ({ rows_per_batch: rows }) =>
        Object.entries(rows)
          .map(([kind, count]) => `${kind} ${count.toFixed(3)}`)
          .join(", "),
    ),
    dollars(
      "anomalies",
      ({ dollars: d }) => d.anomalies,
      (cost) =>
        `${cost.anomaly_writes_per_flow.toExponential(1)} a flow, ${cost.anomaly_rows_per_flow.toExponential(1)} rows`,
    ),
    dollars(
      "total",
      (cost) => cost.dollars_total,
      ({ shards }) => `wanted ≤ ${shards === 1 ? "1.0" : "2.2"}`,
    ),
    ["log bytes a batch", ...costs.map((cost) => thousands(cost.log_bytes_per_batch))],
  ];
}
