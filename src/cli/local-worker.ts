import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_splitSqlQuery } from "wrangler";
import { localKeyProvider } from "../security/key-provider.ts";
import { derivedIdentity } from "../security/tenant-keys.ts";
import { platformTenant } from "../security/tenant.ts";
import { problemOf } from "./client.ts";
import { Failure } from "./failure.ts";
import { projectRoot } from "./local-key.ts";
import { newKey, newMasterKey, type EnvironmentKey } from "./new-key.ts";
import { startWorkerd, type WorkerdOptions } from "./workerd.ts";

export interface LocalWorker {
  url: string;
  /** The bearer key of each tenant, and under "-" that of the operator. */
  keys: { [tenant: string]: string };
  dispose: () => Promise<void>;
}

export interface LocalWorkerOptions extends WorkerdOptions {
  /** The internal networks of each tenant, private ones unless told, and its shards, one unless told. */
  tenants: { [tenant: string]: { internal?: string[]; shards?: number } };
  /** How late a record may come, in seconds; the Worker's own default unless told. */
  latenessAllowanceS?: number;
  /** Further settings of the Worker. */
  variables?: { [name: string]: string };
  /** Whoever starts on a state again needs the secrets that it was made with; new ones unless told. */
  secrets?: LocalSecrets;
}

/** What opens a state, and the API before it. */
export interface LocalSecrets {
  masterKey: string;
  keys: readonly EnvironmentKey[];
}

export function newSecrets(tenants: readonly string[]): LocalSecrets {
  return { masterKey: newMasterKey(), keys: [...tenants, platformTenant].map(newKey) };
}

/** Starts Weir on loopback, not through `wrangler dev`, with a D1 and objects that vanish with it unless told. */
export async function startLocalWorker(options: LocalWorkerOptions): Promise<LocalWorker> {
  const { tenants, latenessAllowanceS, secrets = newSecrets(Object.keys(tenants)), variables: more, ...rest } = options;
  const { keys, masterKey } = secrets;
  const variables = {
    API_KEYS: JSON.stringify(keys.map((key) => key.entry)),
    TENANTS: JSON.stringify(tenants),
    MASTER_KEY: masterKey,
    ...(latenessAllowanceS === undefined ? {} : { LATENESS_ALLOWANCE_S: String(latenessAllowanceS) }),
    ...more,
  };
  const { url, miniflare, dispose } = await startWorkerd(join(projectRoot, "wrangler.toml"), variables, rest);
  try {
    await migrateOnce(options.state, async () => {
      const database = await miniflare.getD1Database("DB");
      await migrate(database);
      await nameAlike(database, masterKey, Object.keys(tenants));
    });
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

/** Ids and samples follow from the master key, as in a replay: two runs with the same one can be compared. */
async function nameAlike(database: Database, masterKey: string, tenants: readonly string[]): Promise<void> {
  const key = new Uint8Array(Buffer.from(masterKey, "base64"));
  const provider = localKeyProvider([{ id: "k1", key }]);
  for (const tenant of tenants) {
    const { kekId, bytes } = await provider.wrap(derivedIdentity(key, tenant));
    const values = [tenant, kekId, Buffer.from(bytes).toString("base64"), Date.now()];
    await database
      .prepare("INSERT INTO data_keys VALUES (?, 'identity', 1, ?, ?, ?)")
      .bind(...values)
      .run();
  }
}

interface Statement {
  bind(...values: unknown[]): Statement;
  run(): Promise<unknown>;
}

interface Database {
  prepare(sql: string): Statement;
}

async function migrate(database: Database): Promise<void> {
  const folder = join(projectRoot, "src/storage/migrations");
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .toSorted()) {
    for (const statement of unstable_splitSqlQuery(readFileSync(join(folder, file), "utf8")))
      await database.prepare(statement).run();
  }
}
