import { createHash } from "node:crypto";
import { candidatesMax, type Candidate } from "../core/features/candidate.ts";
import { everyWindow, trainingRow } from "../core/features/training-rows.ts";
import { acknowledgementOf } from "../core/slots/slot.ts";
import { FlowBatch } from "../core/flow/flow-batch.ts";
import { orient } from "../core/flow/orient.ts";
import { learnBatch } from "../tiers/learn-batch.ts";
import { LocalClock, localParts } from "../tiers/local-parts.ts";
import { shardName, shardsOf } from "../tiers/shard-call.ts";
import { command, oneOf } from "./command.ts";
import { Failure } from "./failure.ts";
import { formatNamed } from "./read-log.ts";
import { append, inUsage, readFiles } from "./replay.ts";

const labels = ["benign", "attack"] as const;
const recordsPerBatch = 5000;
const allowanceMs = 600_000;

export const features = command({
  meta: { name: "features", description: "What models are shown of logs: a line of JSON per own host and closed hour" },
  variadic: true,
  args: {
    file: { type: "positional", description: "Flow logs, plain, .gz or .zst; - is the standard input" },
    label: { type: "string", description: "What all hosts are: benign or attack; null unless told" },
    source: { type: "string", description: "Name of the network in each line; that of the first file unless told" },
    format: { type: "string", default: "auto", description: "Format of the files" },
    internal: { type: "string", description: "Own networks, by commas; the private ones unless told" },
  },
  async run({ args }) {
    formatNamed(args.format);
    const label = args.label === undefined ? null : oneOf("label", args.label, labels);
    const { records } = await readFiles(args._, args.format, undefined);
    const source = args.source ?? args._[0].replace(/^.*\//, "");
    for await (const candidate of windowsOf(records, args.internal?.split(","))) {
      process.stdout.write(`${JSON.stringify(trainingRow(candidate, source, label))}\n`);
    }
  },
});

/** Every closed window of every host of the records, which are played by order of end. */
async function* windowsOf(records: FlowBatch, internal: readonly string[] | undefined): AsyncGenerator<Candidate> {
  const clock = new LocalClock();
  const tenants = { features: { internal } };
  const local = inUsage(() => localParts({ tenants, masterKey: new Uint8Array(32), allowanceMs, shards: 1, clock }));
  const parts = { ...local, configurations: { inForce: async () => everyWindow } };
  const tenant = parts.tenant("features");
  const { endMs } = records;
  const order = Uint32Array.from({ length: records.length }, (_, row) => row).sort((a, b) => endMs[a] - endMs[b]);
  const flows = new FlowBatch();
  for (let from = 0; from < order.length; from += recordsPerBatch) {
    flows.clear();
    for (const row of order.subarray(from, from + recordsPerBatch)) append(flows, records, row);
    orient(flows);
    const receivedAtMs = flows.endMs[flows.length - 1];
    clock.set(receivedAtMs);
    const key = createHash("sha256").update(`features ${from}`).digest("hex");
    const named = { tenant, key, isNamedByShipper: false, bodyDigest: key, flows, receivedAtMs };
    const learnt = await learnBatch(parts, named);
    if ("reason" in learnt) throw new Failure(`A batch was not learnt: ${learnt.reason}.`);
    yield* closedIn(learnt.candidates);
    for (const { verdicts, shard } of learnt.verdicts) {
      parts.acknowledgements.add(shardName(shard), verdicts.map(acknowledgementOf));
    }
  }
  for (const shard of shardsOf(tenant)) {
    const { candidates } = await parts.shardOf(shard).end({
      receivedAtMs: clock.nowMs(),
      acknowledged: [],
      configuration: everyWindow,
    });
    yield* closedIn(candidates);
  }
}

function closedIn(candidates: readonly Candidate[]): Candidate[] {
  if (candidates.length === candidatesMax) {
    throw new Failure(`More than ${candidatesMax} hosts closed an hour at once: split the log by host.`);
  }
  return candidates.filter(({ isClosed }) => isClosed);
}
