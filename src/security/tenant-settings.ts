import { createHash } from "node:crypto";
import * as v from "valibot";
import { networkMatcher } from "../core/flow/networks.ts";
import { jurisdictions, platformTenant, type TenantSettings } from "./tenant.ts";

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
/** Networks in one list: each costs a comparison per distinct address of a batch, or per request. */
const networksMax = 256;
/** No isolate takes more: what a bound says must be less to matter. */
const flowsPerSecondMax = 10_000_000;
/** As many as any batch may have. */
const recordsPerBatchMax = 200_000;

export const tenantId = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must match [a-z0-9][a-z0-9-]{0,62}"));

export const networkList = v.pipe(
  v.array(
    v.pipe(
      v.string(),
      v.check(isNetwork, ({ input }) => `not a network: ${JSON.stringify(input)}`),
    ),
  ),
  v.maxLength(networksMax, `must be at most ${networksMax} networks`),
);
const shardCount = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(shardsMax));

/** What may be changed of a tenant that is there. Null takes a bound or a list away. */
export const tenantChanges = v.strictObject({
  shards: v.optional(shardCount),
  limits: v.optional(
    v.strictObject({
      flows_per_second: v.optional(
        v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(flowsPerSecondMax))),
      ),
      records_per_batch: v.optional(
        v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(recordsPerBatchMax))),
      ),
    }),
  ),
  networks: v.optional(
    v.strictObject({ allow: v.optional(v.nullable(networkList)), deny: v.optional(v.nullable(networkList)) }),
  ),
});
export type TenantChanges = v.InferOutput<typeof tenantChanges>;

/** A tenant as `TENANTS`, the API and D1 describe it. */
export const tenantDescription = v.strictObject({
  ...tenantChanges.entries,
  internal: v.optional(networkList),
  jurisdiction: v.optional(v.nullable(v.picklist(jurisdictions))),
});
export type TenantDescription = v.InferOutput<typeof tenantDescription>;

/** @throws RangeError naming the first text that is no network. */
export function tenantSettings(
  id: string,
  { internal = internalByDefault, shards = 1, jurisdiction = null, limits = {}, networks = {} }: TenantDescription,
  allowanceMs: number,
): TenantSettings {
  const digest = createHash("sha256").update(JSON.stringify({ internal, allowanceMs })).digest("hex");
  const { flows_per_second = null, records_per_batch = null } = limits;
  const { allow = null, deny = null } = networks;
  return Object.freeze({
    id,
    jurisdiction,
    isInternal: networkMatcher(internal),
    shards,
    settingsDigest: digest.slice(0, 16),
    limits: { flowsPerSecond: flows_per_second, recordsPerBatch: records_per_batch },
    networks: { allow: allow && networkMatcher(allow), deny: deny && networkMatcher(deny) },
  });
}

/** Of the platform itself: it has keys and an audit log, and no shard. */
export function platformSettings(allowanceMs: number): TenantSettings {
  return Object.freeze({ ...tenantSettings(platformTenant, { internal: [] }, allowanceMs), shards: 0 });
}

function isNetwork(text: string): boolean {
  try {
    networkMatcher([text]);
    return true;
  } catch {
    return false;
  }
}
