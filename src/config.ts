import { createHash } from "node:crypto";
import * as v from "valibot";
import { networkMatcher } from "./core/flow/networks.ts";
import { permissions, roles, type Permission } from "./security/permissions.ts";
import type { TenantSettings } from "./security/tenant.ts";

/** Wall time and chance: all that is not decided by the input. Injected, so that tests and simulations choose them. */
export interface Clock {
  nowMs(): number;
  wait(ms: number): Promise<void>;
  /** 0 ≤ x < 1. */
  chance(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  chance: () => Math.random(),
};

/** Takes one event as one JSON object: a lower-case message, ids and counts, never a payload. */
export type Log = (event: { level: "info" | "warn" | "error"; message: string; [field: string]: unknown }) => void;

export const consoleLog: Log = (event) => console[event.level](JSON.stringify(event));

/** Everything that an operator can set. Read once; nothing else reads variables of the environment. */
export interface Config {
  /** By key id. */
  readonly apiKeys: ReadonlyMap<string, ApiKey>;
  /** Every tenant that has settings or a key. */
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** 32 bytes, from which the keys of all tenants derive. */
  readonly masterKey: Uint8Array;
  /** How far below the greatest end of its slot a record may end. More forgives later shippers; verdicts wait longer. */
  readonly allowanceMs: number;
}

export interface ApiKey {
  readonly kid: string;
  readonly tenant: string;
  readonly permissions: ReadonlySet<Permission>;
  /** SHA-256 of the secret. */
  readonly secretSha256: Uint8Array;
}

/** A setting that is missing or wrong. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly setting: string;
  readonly detail: string;

  constructor(setting: string, detail: string) {
    super(`setting ${setting}: ${detail}`);
    this.setting = setting;
    this.detail = detail;
  }
}

/** Private, carrier-grade, link-local and loopback networks: what a tenant owns unless it says otherwise. */
const internalByDefault = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "127.0.0.0/8",
  "fc00::/7",
  "fe80::/10",
  "::1/128",
];

/** A slot is the least that a shard can own, four of them fill a snapshot: more shards would cost rows and win nothing. */
const shardsMax = 64;

const tenantSettings = v.strictObject({
  internal: v.optional(v.array(v.string())),
  shards: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(shardsMax))),
});

const tenantId = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must match [a-z0-9][a-z0-9-]{0,62}"));

/** The variables: name, unit, default, and what a higher value costs. */
const variables = {
  /** Keys that may call the API, as JSON. Default: none, so nobody gets in. Costs a few hundred bytes of memory each. */
  API_KEYS: json(
    "[]",
    v.array(
      v.strictObject({
        kid: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, "must match [A-Za-z0-9_-]{1,64}")),
        tenant: tenantId,
        role: v.optional(v.picklist(["shipper", "viewer", "admin"])),
        permissions: v.optional(v.array(v.picklist(permissions))),
        secret_sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/i, "must be 64 hex digits")),
      }),
    ),
  ),
  /**
   * Networks and shards of each tenant, as JSON. Default: private networks, one shard. Each network costs a comparison
   * per distinct address; each shard that a batch touches costs a call and a row. Whoever changes `shards` has every
   * slot that moves start without its past.
   */
  TENANTS: json("{}", v.record(tenantId, tenantSettings)),
  /** 32 bytes in base64; a secret, without default. Whoever changes it loses what was stored before. */
  MASTER_KEY: v.pipe(
    v.string("must be set: 32 bytes in base64"),
    v.transform((text) => new Uint8Array(Buffer.from(text, "base64"))),
    v.check((key) => key.length === 32, "must be 32 bytes in base64"),
  ),
  /** Allowance for late records, in seconds. Default 600. A higher one delays final verdicts and keeps more state. */
  LATENESS_ALLOWANCE_S: v.pipe(
    v.optional(v.union([v.string(), v.number()]), "600"),
    v.transform(Number),
    v.check((seconds) => seconds >= 0 && seconds <= 86_400, "must be 0 to 86400 seconds"),
  ),
};

/** @throws ConfigError naming the first bad setting. */
export function readConfig(env: object): Config {
  const keys = setting(env, "API_KEYS");
  const networks = setting(env, "TENANTS");
  const masterKey = setting(env, "MASTER_KEY");
  const allowanceMs = setting(env, "LATENESS_ALLOWANCE_S") * 1000;

  const apiKeys = new Map<string, ApiKey>();
  for (const { kid, tenant, role, permissions: listed, secret_sha256 } of keys) {
    if (apiKeys.has(kid)) throw new ConfigError("API_KEYS", `kid ${kid} stands there twice`);
    const granted = listed ?? (role && roles[role]);
    if (!granted) throw new ConfigError("API_KEYS", `kid ${kid} has neither role nor permissions`);
    const secretSha256 = new Uint8Array(Buffer.from(secret_sha256, "hex"));
    apiKeys.set(kid, Object.freeze({ kid, tenant, permissions: new Set(granted), secretSha256 }));
  }
  const tenants = new Map<string, TenantSettings>();
  for (const tenant of new Set([...Object.keys(networks), ...keys.map((key) => key.tenant)])) {
    tenants.set(tenant, tenantConfig(tenant, networks[tenant] ?? {}, allowanceMs));
  }
  return Object.freeze({ apiKeys, tenants, masterKey, allowanceMs });
}

function setting<Name extends keyof typeof variables>(env: object, name: Name): v.InferOutput<(typeof variables)[Name]>;
function setting(env: object, name: keyof typeof variables): unknown {
  const result = v.safeParse(variables[name], (env as Record<string, unknown>)[name]);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw new ConfigError(name, path ? `${path}: ${issue.message}` : issue.message);
}

function tenantConfig(
  tenant: string,
  { internal = internalByDefault, shards = 1 }: v.InferOutput<typeof tenantSettings>,
  allowanceMs: number,
): TenantSettings {
  try {
    const isInternal = networkMatcher(internal);
    const settingsDigest = createHash("sha256")
      .update(JSON.stringify({ internal, allowanceMs }))
      .digest("hex")
      .slice(0, 16);
    return Object.freeze({ id: tenant, jurisdiction: null, isInternal, shards, settingsDigest });
  } catch (error) {
    throw new ConfigError("TENANTS", `${tenant}: ${(error as Error).message}`);
  }
}

/** A variable that holds JSON: text, or what `wrangler.toml` already parsed. */
function json<const Schema extends v.GenericSchema>(byDefault: string, schema: Schema) {
  return v.pipe(
    v.optional(v.unknown(), byDefault),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      if (typeof dataset.value !== "string") return dataset.value;
      try {
        return JSON.parse(dataset.value) as unknown;
      } catch {
        addIssue({ message: "is not JSON" });
        return NEVER;
      }
    }),
    schema,
  );
}
