import { createHash } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { modelFaults, type ModelFault } from "../inference/fault.ts";
import { Client, type StoredAnomaly } from "./client.ts";
import { newSecrets, startLocalWorker, type LocalSecrets, type LocalWorkerOptions } from "./local-worker.ts";
import { playSample, type Sample } from "./sample.ts";

const tenant = "drill";
/** Whoever asks a mended model has to come with batches that nobody has sent yet. */
const laterTenant = "mended";

/** How long a breaker stays open, in seconds, and some time for whoever asks it. */
const recoverS = 65;

export interface BrokenModels {
  isSame: boolean;
  text: string;
}

interface Drill {
  fault: ModelFault;
  verdicts: number;
  digest: string;
  /** What verdicts say of the models, and how often. */
  reasons: string;
  breakers: string;
}

/**
 * Plays the same sample with models as they are and broken in every way that the drill knows; then mends them, with the
 * state of the last drill, and waits for their breakers to find out. The statistical part of all verdicts must be the same.
 */
export async function breakModels(
  sample: Sample,
  folder: string,
  print: (line: string) => void,
): Promise<BrokenModels> {
  const { internal } = sample;
  const secrets = newSecrets([tenant, laterTenant]);
  const options = { tenants: { [tenant]: { internal }, [laterTenant]: { internal } }, secrets };
  const drills: Drill[] = [];
  for (const fault of modelFaults) {
    drills.push(await drill(fault, tenant, sample, { ...options, state: join(folder, fault) }, print));
  }
  const [whole, ...broken] = drills;
  const isSame = whole.verdicts > 0 && broken.every(({ digest }) => digest === whole.digest);
  print(`\nMended. Waiting ${recoverS} s for the breakers to let a probe through …`);
  await sleep(recoverS * 1000);
  const state = join(folder, modelFaults.at(-1)!);
  const mended = await drill("none", laterTenant, sample, { ...options, state }, print);
  const hasRecovered = mended.breakers.split(", ").every((breaker) => breaker.endsWith(" closed"));
  const verdict = isSame ? "the same statistical part, byte for byte" : "NOT the same statistical part";
  const recovery = hasRecovered ? "closed again" : `NOT closed: ${mended.breakers}`;
  return {
    isSame: isSame && hasRecovered,
    text: `${drills.length} runs: ${verdict}; breakers after the drill: ${recovery}`,
  };
}

async function drill(
  fault: ModelFault,
  as: string,
  sample: Sample,
  options: LocalWorkerOptions & { secrets: LocalSecrets },
  print: (line: string) => void,
): Promise<Drill> {
  const worker = await startLocalWorker({ ...options, variables: { MODEL_FAULT: fault, MODEL_TIMEOUT_MS: "500" } });
  try {
    const client = new Client(worker.url, worker.keys[as]);
    await playSample(client, sample, () => {});
    const stored = await client.anomalies({});
    const done = {
      fault,
      ...statisticalPart(stored),
      reasons: reasonsOf(stored),
      breakers: await breakersOf(worker.url, worker.keys["-"]),
    };
    print(
      `${fault.padEnd(8)} ${done.verdicts} verdicts ${done.digest.slice(0, 16)}; models: ${done.reasons}; ${done.breakers}`,
    );
    return done;
  } finally {
    await worker.dispose();
  }
}

/** Everything that an anomaly says but what models say, and when it was said. */
function statisticalPart(stored: readonly StoredAnomaly[]): Pick<Drill, "verdicts" | "digest"> {
  const lines = stored
    .filter(({ threat }) => threat !== "anomaly")
    .map((anomaly) => {
      const { models: _models, tiers, stored_revision: _stored, ...rest } = anomaly;
      const { received_at: _received, decided_at: _decided, stored_at: _storedAt, ...said } = rest;
      return JSON.stringify([said, tiers.find(({ tier }) => tier === 1)]);
    })
    .sort();
  return { verdicts: lines.length, digest: createHash("sha256").update(lines.join("\n")).digest("hex") };
}

function reasonsOf(stored: readonly StoredAnomaly[]): string {
  const counts = new Map<string, number>();
  for (const { tiers } of stored) {
    const second = tiers.find(({ tier }) => tier === 2);
    for (const { ran, reason } of second?.models ?? []) {
      const said = ran ? "ran" : String(reason);
      counts.set(said, (counts.get(said) ?? 0) + 1);
    }
  }
  return [...counts].map(([said, count]) => `${said} ${count}`).join(", ");
}

async function breakersOf(url: string, key: string): Promise<string> {
  const response = await fetch(`${url}/v1/models/instances`, { headers: { Authorization: `Bearer ${key}` } });
  const { instances } = (await response.json()) as {
    instances: { model: string; breaker: { state: string } | null }[];
  };
  return instances.map(({ model, breaker }) => `${model} ${breaker?.state ?? "closed"}`).join(", ");
}
