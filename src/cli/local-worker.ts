import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_splitSqlQuery } from "wrangler";
import { problemOf } from "./client.ts";
import { Failure } from "./failure.ts";
import { newKey, newMasterKey } from "./keys.ts";
import { projectRoot } from "./local-key.ts";
import { startWorkerd } from "./workerd.ts";

export interface LocalWorker {
  url: string;
  /** The bearer key of each tenant. */
  keys: { [tenant: string]: string };
  dispose: () => Promise<void>;
}

export interface LocalWorkerOptions {
  /** The internal networks of each tenant; private ones unless told. */
  tenants: { [tenant: string]: { internal?: string[] } };
  /** How late a record may come, in seconds; the Worker's own default unless told. */
  latenessAllowanceS?: number;
  /** 0, which is the default: any free one. */
  port?: number;
}

/** Starts Weir on loopback, not through `wrangler dev`, with a D1 and objects that vanish with it. */
export async function startLocalWorker(options: LocalWorkerOptions): Promise<LocalWorker> {
  const { tenants, latenessAllowanceS, port = 0 } = options;
  const keys = Object.keys(tenants).map(newKey);
  const variables = {
    API_KEYS: JSON.stringify(keys.map((key) => key.entry)),
    TENANTS: JSON.stringify(tenants),
    MASTER_KEY: newMasterKey(),
    ...(latenessAllowanceS === undefined ? {} : { LATENESS_ALLOWANCE_S: String(latenessAllowanceS) }),
  };
  const { url, miniflare, dispose } = await startWorkerd(join(projectRoot, "wrangler.toml"), variables, port);
  try {
    await migrate(await miniflare.getD1Database("DB"));
    await checkHealth(url);
    return { url, keys: Object.fromEntries(keys.map((key) => [key.entry.tenant, key.bearer])), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
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
