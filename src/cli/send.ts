import { setTimeout as sleep } from "node:timers/promises";
import { batches, type Batch } from "./batches.ts";
import { gzip, type Balance, type Client, type IngestAnswer } from "./client.ts";
import { command, oneOf, wholeNumber } from "./command.ts";
import { connect, connectionArgs } from "./connect.ts";
import { Failure } from "./failure.ts";
import { openInput } from "./input.ts";
import { detailText } from "./parse.ts";
import { Progress } from "./progress.ts";
import { formatNamed, readLog } from "./read-log.ts";
import { thousands } from "./table.ts";

const rejectsShownMax = 20;

export const send = command({
  meta: { name: "send", description: "Send flow logs, in batches, gzipped" },
  variadic: true,
  args: {
    file: { type: "positional", description: "Flow logs, plain, .gz or .zst; - is the standard input" },
    ...connectionArgs,
    format: { type: "string", default: "auto", description: "Their format" },
    "sampling-rate": { type: "string", description: "Packets for each that the log counted, if it does not say so" },
    batch: { type: "string", default: "5000", description: "Records in a batch" },
    speed: { type: "string", default: "max", description: "max, or realtime: as the records' times say" },
    sign: { type: "boolean", description: "Sign requests instead of showing the key, which must be one for signing" },
    strict: { type: "boolean", description: "Exit with 3 if a record was rejected" },
  },
  async run({ args }) {
    const records = wholeNumber("batch", args.batch, 1, 200_000);
    formatNamed(args.format);
    const rate = args["sampling-rate"];
    const samplingRate = rate === undefined ? undefined : wholeNumber("sampling-rate", rate, 1, 1_000_000);
    const speed = oneOf("speed", args.speed, ["realtime", "max"]);
    let progress: Progress | undefined;
    const client = connect(args, (reason, seconds) => progress?.note(`${reason} Waiting ${seconds} s.`));
    const balance: Balance = { received: 0, accepted: 0, rejected: 0, skipped: 0, duplicate: 0, late: 0, sampled: 0 };
    const verdicts = new Set<string>();
    const startMs = performance.now();
    for (const path of args._) {
      const input = await openInput(path);
      progress = new Progress(input.bytesTotal, args._.length > 1 ? `records of ${path}` : "records");
      const pace = speed === "realtime" ? new Pace(args.format) : undefined;
      let sent = 0;
      for await (const batch of batches(input.chunks, records)) {
        await pace?.wait(batch);
        const answer = await sendBatch(client, { format: args.format, samplingRate }, batch, progress);
        add(balance, answer);
        for (const { id } of answer.anomalies) verdicts.add(id);
        progress.show(input.bytesRead(), (sent += answer.received));
      }
      progress.end();
    }
    const seconds = (performance.now() - startMs) / 1000;
    const parts = Object.entries(balance).map(([name, count]) => `${name} ${thousands(count)}`);
    console.log(
      `${parts.join(", ")}; verdicts ${verdicts.size}; ${seconds.toFixed(1)} s, ${thousands(balance.received / seconds)} records/s`,
    );
    if (balance.late > 0) process.stderr.write(`${lateText(balance.late)}\n`);
    if (args.strict && balance.rejected > 0)
      throw new Failure(`${balance.rejected} of ${balance.received} records were rejected.`, 3);
  },
});

function lateText(late: number): string {
  return (
    `late ${thousands(late)}: these records end further than the allowance below the newest that their slot has seen, ` +
    "so they were not learnt. " +
    "Send logs in order of time, raise LATENESS_ALLOWANCE_S, or use weir eval or another tenant for old captures."
  );
}

let rejectsShown = 0;

async function sendBatch(
  client: Client,
  { format, samplingRate }: { format: string; samplingRate: number | undefined },
  batch: Batch,
  progress: Progress,
): Promise<IngestAnswer> {
  const answer = await client.ingest(format, gzip(batch.body), samplingRate);
  for (const { line, reason, ...detail } of answer.rejects) {
    if (rejectsShown++ >= rejectsShownMax) break;
    progress.note(`line ${line + batch.lineOffset}: ${reason} ${detailText(detail)}`);
  }
  return answer;
}

function add(balance: Balance, answer: IngestAnswer): void {
  for (const name of Object.keys(balance) as (keyof Balance)[]) balance[name] += answer[name];
}

/** Keeps batches as far apart as the ends of their last records are. */
class Pace {
  readonly #format: string;
  #offsetMs: number | undefined;

  constructor(format: string) {
    this.#format = format;
  }

  async wait({ body }: Batch): Promise<void> {
    let latestMs = -Infinity;
    await readLog([body], { format: this.#format }, (rows) => {
      for (let row = 0; row < rows.length; row++) latestMs = Math.max(latestMs, rows.endMs[row]);
    });
    if (latestMs === -Infinity) return;
    this.#offsetMs ??= Date.now() - latestMs;
    const ms = latestMs + this.#offsetMs - Date.now();
    if (ms > 0) await sleep(ms);
  }
}
