import * as v from "valibot";
import { networkMatcher, type NetworkMatcher } from "./core/flow/networks.ts";
import { modelFaults, type ModelFault } from "./inference/fault.ts";
import type { ApiKey } from "./security/api-key.ts";
import type { MasterKey } from "./security/key-provider.ts";
import { permissions, roles, tenantRoles, viewOf, views, type Permission, type Role } from "./security/permissions.ts";
import { platformTenant, type TenantSettings } from "./security/tenant.ts";
import {
  networkList,
  platformSettings,
  tenantDescription,
  tenantId,
  tenantSettings,
} from "./security/tenant-settings.ts";

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
  /** What wraps the tenants' data keys: the first wraps new ones, any of them unwraps. */
  readonly masterKeys: readonly MasterKey[];
  /** The first of them, 32 bytes. */
  readonly masterKey: Uint8Array;
  /** Client networks that nobody may call from; null: none. */
  readonly deniedNetworks: NetworkMatcher | null;
  /** How far below the greatest end of its slot a record may end. More forgives later shippers; verdicts wait longer. */
  readonly allowanceMs: number;
  /** How long a model may take for one batch's candidates. More waits longer for a slow one; answers wait with it. */
  readonly modelTimeoutMs: number;
  /** Breaks every model on purpose. */
  readonly modelFault: ModelFault;
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

/** The outer bound of tier 2. */
const modelTimeoutMsMax = 120_000;

/** The variables: name, unit, default, and what a higher value costs. */
const variables = {
  /** Keys that may call the API, as JSON. Default: none, so nobody gets in. Costs a few hundred bytes of memory each. */
  API_KEYS: json(
    "[]",
    v.array(
      v.strictObject({
        kid: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, "must match [A-Za-z0-9_-]{1,64}")),
        tenant: v.union([tenantId, v.literal(platformTenant)], "must match [a-z0-9][a-z0-9-]{0,62}"),
        role: v.optional(v.picklist([...tenantRoles, "operator"])),
        view: v.optional(v.picklist(views)),
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
  TENANTS: json("{}", v.record(tenantId, tenantDescription)),
  /**
   * 32 bytes in base64, or several by name, as in `b:<base64>,a:<base64>`: a secret, without default. The first wraps
   * from now on, the others only unwrap what they wrapped. One without a name is called `k1`. Whoever takes one away
   * before all was wrapped again loses what was stored before.
   */
  MASTER_KEY: v.pipe(
    v.string("must be set: 32 bytes in base64"),
    v.transform(masterKeysIn),
    v.check((keys) => keys.every(({ key }) => key.length === 32), "must be 32 bytes in base64"),
    v.check((keys) => keys.every(({ id }) => /^[A-Za-z0-9_-]{1,32}$/.test(id)), "ids must match [A-Za-z0-9_-]{1,32}"),
    v.check((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, "must not name two keys alike"),
  ),
  /**
   * Client networks that are refused whatever they ask, as a JSON list. Default: none. Each costs a comparison per
   * request.
   */
  NETWORK_DENY: v.pipe(
    json("[]", networkList),
    v.transform((list) => (list.length > 0 ? networkMatcher(list) : null)),
  ),
  /** Allowance for late records, in seconds. Default 600. A higher one delays final verdicts and keeps more state. */
  LATENESS_ALLOWANCE_S: v.pipe(
    v.optional(v.union([v.string(), v.number()]), "600"),
    v.transform(Number),
    v.check((seconds) => seconds >= 0 && seconds <= 86_400, "must be 0 to 86400 seconds"),
  ),
  /** How long a model may take, in milliseconds. Default 2000. With a higher one a batch waits longer for a hanging model. */
  MODEL_TIMEOUT_MS: v.pipe(
    v.optional(v.union([v.string(), v.number()]), "2000"),
    v.transform(Number),
    v.check((ms) => ms >= 1 && ms <= modelTimeoutMsMax, `must be 1 to ${modelTimeoutMsMax} milliseconds`),
  ),
  /** For drills: `missing`, `corrupt`, `throw` or `hang` breaks every model. Default `none`. Costs the models' opinions. */
  MODEL_FAULT: v.optional(v.picklist(modelFaults), "none"),
};

/** @throws ConfigError naming the first bad setting. */
export function readConfig(env: object): Config {
  const keys = setting(env, "API_KEYS");
  const networks = setting(env, "TENANTS");
  const masterKeys = setting(env, "MASTER_KEY");
  const deniedNetworks = setting(env, "NETWORK_DENY");
  const allowanceMs = setting(env, "LATENESS_ALLOWANCE_S") * 1000;
  const models = { modelTimeoutMs: setting(env, "MODEL_TIMEOUT_MS"), modelFault: setting(env, "MODEL_FAULT") };

  const apiKeys = new Map<string, ApiKey>();
  for (const entry of keys) {
    if (apiKeys.has(entry.kid)) throw new ConfigError("API_KEYS", `kid ${entry.kid} stands there twice`);
    apiKeys.set(entry.kid, keyOf(entry));
  }
  const tenants = new Map<string, TenantSettings>();
  for (const tenant of new Set([...Object.keys(networks), ...keys.map((key) => key.tenant)])) {
    if (tenant !== platformTenant) tenants.set(tenant, tenantSettings(tenant, networks[tenant] ?? {}, allowanceMs));
  }
  // Always there: what belongs to no tenant is written under its name.
  tenants.set(platformTenant, platformSettings(allowanceMs));
  return Object.freeze({
    apiKeys,
    tenants,
    masterKeys,
    masterKey: masterKeys[0].key,
    deniedNetworks,
    allowanceMs,
    ...models,
  });
}

/** `base64`, or `id:base64,id:base64`. */
function masterKeysIn(text: string): MasterKey[] {
  return text.split(",").map((part) => {
    const colon = part.indexOf(":");
    const id = colon < 0 ? "k1" : part.slice(0, colon).trim();
    return { id, key: new Uint8Array(Buffer.from(part.slice(colon + 1).trim(), "base64")) };
  });
}

type KeyEntry = v.InferOutput<(typeof variables)["API_KEYS"]>[number];

function keyOf({ kid, tenant, role: named, permissions: listed, view, secret_sha256 }: KeyEntry): ApiKey {
  const fail = (detail: string) => new ConfigError("API_KEYS", `kid ${kid} ${detail}`);
  const role = named ?? (listed && leastRole(listed));
  if (!role) throw fail("has neither role nor permissions");
  const granted = new Set(listed ?? roles[role]);
  const most = roles[tenant === platformTenant ? "operator" : "admin"];
  if ([...granted].some((permission) => !most.includes(permission))) throw fail("may do what its tenant cannot");
  if (view && views.indexOf(view) < views.indexOf(viewOf[role])) throw fail(`cannot have the view ${view}`);
  return Object.freeze({
    kid,
    tenant,
    role,
    permissions: granted,
    view: view ?? viewOf[role],
    secretSha256: new Uint8Array(Buffer.from(secret_sha256, "hex")),
    signingKey: null,
    notBeforeMs: null,
    expiresAtMs: null,
    revokedAtMs: null,
    graceUntilMs: null,
    replacedBy: null,
  });
}

/** The first role that may do all of it. */
function leastRole(granted: readonly Permission[]): Role | undefined {
  const all: readonly Role[] = [...tenantRoles, "operator"];
  return all.find((role) => granted.every((permission) => roles[role].includes(permission)));
}

function setting<Name extends keyof typeof variables>(env: object, name: Name): v.InferOutput<(typeof variables)[Name]>;
function setting(env: object, name: keyof typeof variables): unknown {
  const result = v.safeParse(variables[name], (env as Record<string, unknown>)[name]);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw new ConfigError(name, path ? `${path}: ${issue.message}` : issue.message);
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
