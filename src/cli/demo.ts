import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "./client.ts";
import { command, wholeNumber } from "./command.ts";
import { Failure } from "./failure.ts";
import { startLocalWorker } from "./local-worker.ts";
import { breakModels } from "./break-models.ts";
import { judgeSample, makeSample, playSample, type Sample } from "./sample.ts";

const tenant = "demo";

export const demo = command({
  meta: { name: "demo", description: "Start a local Weir, send it sample traffic, and watch what it finds" },
  args: {
    "break-models": {
      type: "boolean",
      description: "Break the models in every way, and show that statistics say the same, and that breakers recover",
    },
    once: { type: "boolean", description: "Stop at the end; fail unless exactly the planted attacks were found" },
    port: { type: "string", default: "8787", description: "Where to listen; the next free one if it is taken" },
    seed: { type: "string", default: "1", description: "Another seed makes another sample" },
  },
  async run({ args }) {
    const seed = wholeNumber("seed", args.seed, 0, 0xffffffff);
    const wanted = wholeNumber("port", args.port, 1, 65535);
    const stopped = new Promise<"stopped">((resolve) => {
      process.once("SIGINT", () => resolve("stopped"));
      process.once("SIGTERM", () => resolve("stopped"));
    });
    const port = await freePort(wanted);
    if (port !== wanted) console.log(`Port ${wanted} is taken: using ${port}.`);
    const sample = makeSample(seed, Date.now());
    if (args["break-models"]) return drillModels(sample, stopped);
    const worker = await startLocalWorker({ tenants: { [tenant]: { internal: sample.internal } }, port });
    const urls = ["/v1/anomalies", "/healthz", "/openapi.json"].map((path) => `  ${worker.url}${path}\n`).join("");
    console.log(`Weir is at ${worker.url}:\n${urls}  Authorization: Bearer ${worker.keys[tenant]}\n`);
    try {
      const client = new Client(worker.url, worker.keys[tenant]);
      const playing = playSample(client, sample, (line) => console.log(line)).then(() =>
        args.once ? judgeSample(client, sample) : undefined,
      );
      const result = await Promise.race([playing, stopped]);
      if (result === "stopped") {
        playing.catch(() => {});
        if (args.once) throw new Failure("It was stopped before its end.");
        return;
      }
      if (result !== undefined) {
        console.log(`\n${result.text}`);
        if (!result.isExact) throw new Failure("What was found is not what was planted.");
        return;
      }
      console.log("\nThe sample has been sent. Weir stays up until Ctrl-C.");
      await stopped;
    } finally {
      await worker.dispose();
    }
  },
});

async function drillModels(sample: Sample, stopped: Promise<"stopped">): Promise<void> {
  const state = mkdtempSync(join(tmpdir(), "weir-drill-"));
  try {
    const drilling = breakModels(sample, state, (line) => console.log(line));
    const result = await Promise.race([drilling, stopped]);
    if (result === "stopped") throw new Failure("It was stopped before its end.");
    console.log(`\n${result.text}`);
    if (!result.isSame) throw new Failure("Broken models cost more than their opinion.");
  } finally {
    rmSync(state, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function freePort(wanted: number): Promise<number> {
  for (let port = wanted; port < Math.min(wanted + 100, 65536); port++) if (await isFree(port)) return port;
  throw new Failure(`No port from ${wanted} on is free.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
