import { createServer } from "node:net";
import { Client } from "./client.ts";
import { command, wholeNumber } from "./command.ts";
import { Failure } from "./failure.ts";
import { startLocalWorker } from "./local-worker.ts";
import { judgeSample, makeSample, playSample } from "./sample.ts";

const tenant = "demo";

export const demo = command({
  meta: { name: "demo", description: "Start a local Weir, send it sample traffic, and watch what it finds" },
  args: {
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
