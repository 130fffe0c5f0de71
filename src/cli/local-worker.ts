import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_splitSqlQuery } from "wrangler";
import { problemOf } from "./client.ts";
import { Failure } from "./failure.ts";
import { newKey, newMasterKey, type ApiKey } from "./keys.ts";
import { projectRoot } from "./local-key.ts";
import { startWorkerd, type WorkerdOptions } from "./workerd.ts";

export interface LocalWorker {
  url: string;
  /** The bearer key of each tenant. */
  keys: { [tenant: string]: string };
  dispose: () => Promise<void>;
}

export interface LocalWorkerOptions extends WorkerdOptions {
  /** The internal networks of each tenant, private ones unless told, and its shards, one unless told. */
  tenants: { [tenant: string]: { internal?: string[]; shards?: number } };
  /** How late a record may come, in seconds; the Worker's own default unless told. */
  latenessAllowanceS?: number;
  /** Whoever starts on a state again needs the secrets that it was made with; new ones unless told. */
  secrets?: LocalSecrets;
}

/** What opens a state, and the API before it. */
export interface LocalSecrets {
  masterKey: string;
  keys: readonly ApiKey[];
}

export function newSecrets(tenants: readonly string[]): LocalSecrets {
  return { masterKey: newMasterKey(), keys: tenants.map(newKey) };
}

/** Starts Weir on loopback, not through `wrangler dev`, with a D1 and objects that vanish with it unless told. */
export async function startLocalWorker(options: LocalWorkerOptions): Promise<LocalWorker> {
  const { tenants, latenessAllowanceS, secrets = newSecrets(Object.keys(tenants)), ...rest } = options;
  const { keys, masterKey } = secrets;
  const variables = {
    API_KEYS: JSON.stringify(keys.map((key) => key.entry)),
    TENANTS: JSON.stringify(tenants),
    MASTER_KEY: masterKey,
    ...(latenessAllowanceS === undefined ? {} : { LATENESS_ALLOWANCE_S: String(latenessAllowanceS) }),
  };
  const { url, miniflare, dispose } = await startWorkerd(join(projectRoot, "wrangler.toml"), variables, rest);
  try {
    await migrateOnce(options.state, async () => migrate(await miniflare.getD1Database("DB")));
    await checkHealth(url);
    return { url, keys: Object.fromEntries(keys.map((key) => [key.entry.tenant, key.bearer])), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A state that was migrated says so in a file. */
async function migrateOnce(state: string | undefined, work: () => Promise<void>): Promise<void> {
  const note = state === undefined ? undefined : join(state, "migrated");
  if (note !== undefined && existsSync(note)) return;
  await work();
  if (note !== undefined) writeFileSync(note, "");
}

/** A Weir with a bad setting asks its clients to come again later, and they would wait for minutes. */
async function checkHealth(url: string): Promise<void> {
  const response = await fetch(`${url}/healthz`);
  if (!response.ok) throw new Failure(`The local Weir does not work: ${await problemOf(response)}`);
  await response.body?.cancel();
}

async function migrate(database: { prepare(sql: string): { run(): Promise<unknown> } }): Promise<void> {
  const folder = join(projectRoot, "src/storage/migrations");
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .toSorted()) {
    for (const statement of unstable_splitSqlQuery(readFileSync(join(folder, file), "utf8")))
      await database.prepare(statement).run();
  }
}
