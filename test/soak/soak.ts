import { runCommand, renderUsage } from "citty";
import { command, wholeNumber } from "../../src/cli/command.ts";
import { Failure, sentence } from "../../src/cli/failure.ts";
import { failuresOf, reportText } from "./report.ts";
import { flowsPerBody, soak, type SoakOptions } from "./run.ts";

/** Bodies need room for the core's talk and the attacks as well. */
const freshShareMax = 0.6;

const main = command({
  meta: { name: "soak", description: "Minutes of load on a real workerd: bounds, times, and what a kill loses" },
  args: {
    minutes: { type: "string", default: "5", description: "How long" },
    kill: { type: "boolean", description: "Kill workerd under load, and compare verdicts with an undisturbed run" },
    kills: { type: "string", description: "How often; every 5 seconds unless told" },
    entities: { type: "string", description: "Distinct addresses; 1,000,000, or 20,000 with --kill" },
    seed: { type: "string", default: "1", description: "Seed of the traffic and of the kills" },
    rate: { type: "string", description: "Flows a second; 20,000, or 10,000 with --kill" },
    shards: { type: "string", default: "1", description: "Shards of the tenant" },
    json: { type: "boolean", description: "The result as JSON" },
  },
  async run({ args }) {
    const result = await soak(optionsOf(args), (text) => process.stderr.write(`${text}\n`));
    const failures = failuresOf(result);
    process.stdout.write(`${args.json ? JSON.stringify({ ...result, failures }, null, 1) : reportText(result)}\n`);
    if (failures.length > 0) process.exitCode = 1;
  },
});

interface Flags {
  minutes: string;
  kill?: boolean | undefined;
  kills?: string | undefined;
  entities?: string | undefined;
  seed: string;
  rate?: string | undefined;
  shards: string;
}

function optionsOf({ kill = false, ...flags }: Flags): SoakOptions {
  if (flags.kills !== undefined && !kill) throw new Failure("--kills goes with --kill.", 2);
  const minutes = wholeNumber("minutes", flags.minutes, 1, 24 * 60);
  const kills = kill ? wholeNumber("kills", flags.kills ?? String(12 * minutes), 1, 10_000) : 0;
  const entities = wholeNumber("entities", flags.entities ?? (kill ? "20000" : "1000000"), 1000, 20_000_000);
  const rate = wholeNumber("rate", flags.rate ?? (kill ? "10000" : "20000"), 1000, 1_000_000);
  const fresh = (entities / (minutes * 60 * rate)) * flowsPerBody;
  if (fresh > freshShareMax * flowsPerBody)
    throw new Failure("So many entities need more minutes or a higher rate: new ones may be 60 % of all flows.", 2);
  const shards = wholeNumber("shards", flags.shards, 1, 64);
  return { minutes, kills, entities, seed: wholeNumber("seed", flags.seed, 0, 0xffffff), rate, shards };
}

try {
  if (process.argv.includes("--help")) process.stdout.write(`${await renderUsage(main)}\n`);
  else await runCommand(main, { rawArgs: process.argv.slice(2) });
} catch (error) {
  process.stderr.write(`soak: ${sentence(error)}\n`);
  process.exitCode = error instanceof Failure ? error.exitCode : 1;
}
