import { resolver } from "hono-openapi";
import * as v from "valibot";
import { presets } from "../core/detectors/thresholds.ts";
import { breakReasons } from "../security/audit-chain.ts";
import { severities, threats } from "../core/verdict.ts";
import { instanceKinds } from "../inference/instances.ts";
import { modelNames } from "../inference/model.ts";
import { permissions, tenantRoles, views } from "../security/permissions.ts";
import { jurisdictions } from "../security/tenant.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const fraction = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const time = v.pipe(v.string(), v.isoTimestamp());
const state = v.picklist(["provisional", "final", "withdrawn"]);
const anomalyId = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));

const changedAnomalies = v.array(v.strictObject({ id: anomalyId, revision: count, state }));

export const batchAnswer = v.strictObject({
  batch: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  received: count,
  accepted: count,
  rejected: count,
  skipped: count,
  duplicate: count,
  late: count,
  sampled: count,
  repaired: v.boolean(),
  rejects: v.array(v.looseObject({ line: count, reason: v.string() })),
  anomalies: changedAnomalies,
  stored: v.boolean(),
  latency_ms: count,
});

export const endAnswer = v.strictObject({ anomalies: changedAnomalies, stored: v.boolean() });

const anomalyEntries = {
  id: anomalyId,
  tenant: v.string(),
  threat: v.picklist(threats),
  detector_version: count,
  config_version: v.string(),
  severity: v.picklist(severities),
  score: fraction,
  confidence: fraction,
  window: v.strictObject({ start: time, end: time }),
  state,
  revision: count,
  stored_revision: count,
  received_at: time,
  decided_at: time,
  stored_at: time,
  completeness: v.strictObject({
    late_records: count,
    evicted_entities: count,
    folded_contacts: count,
    warming_up: v.boolean(),
  }),
  tiers: v.array(
    v.strictObject({
      tier: v.picklist([1, 2, 3]),
      ran: v.boolean(),
      reason: v.nullable(v.string()),
      models: v.optional(
        v.array(v.strictObject({ model: v.string(), ran: v.boolean(), reason: v.nullable(v.string()) })),
      ),
    }),
  ),
};

export const anomaly = v.strictObject({
  ...anomalyEntries,
  entity: v.string(),
  peers: v.array(v.strictObject({ address: v.string(), port: count, protocol: v.string() })),
  peer_count: count,
  techniques: v.array(v.string()),
  summary: v.string(),
  evidence: v.record(v.string(), v.unknown()),
  models: v.array(
    v.strictObject({
      model: v.string(),
      version: v.string(),
      score: v.number(),
      p_value: fraction,
      contributions: v.array(v.strictObject({ feature: v.string(), value: v.number(), share: fraction })),
    }),
  ),
});

/** AES-256-GCM, in base64. */
const ciphertext = v.strictObject({ ciphertext: v.string(), nonce: v.string(), tag: v.string() });

/** For keys whose view is `sealed`, and for exports. */
export const sealedAnomaly = v.strictObject({
  ...anomalyEntries,
  entity: ciphertext,
  peers: ciphertext,
  evidence: ciphertext,
  encryption_metadata: v.strictObject({
    encrypted_fields: v.array(v.string()),
    encryption_timestamp: time,
    key_id: v.string(),
  }),
});

export const anomalyList = v.strictObject({ anomalies: v.array(anomaly), next: v.nullable(v.string()) });
export const sealedAnomalyList = v.strictObject({ anomalies: v.array(sealedAnomaly), next: v.nullable(v.string()) });

const countOrNull = v.nullable(v.number());

/** Units stand in the names; `_ms` are milliseconds since 1970. */
const shardGauges = v.strictObject({
  shard: count,
  slots: count,
  entities: count,
  state_bytes: count,
  slot_state_bytes_max: count,
  evicted_entities: count,
  late_records: count,
  record_ids: count,
  record_ids_forgotten: count,
  watermark_ms: countOrNull,
  log_entries: count,
  log_rows: count,
  log_bytes: count,
  dirty_slots: count,
  batch_keys: count,
  batch_keys_forgotten: count,
  batch_keys_since_ms: countOrNull,
  pending_verdicts: count,
  pending_since_ms: countOrNull,
  rows_written: v.strictObject({ log: count, state: count, keys: count, facts: count, alarm: count }),
  log_bytes_written: count,
  restored: v.strictObject({ entries: count, rows: count, bytes: count, set_aside: count, lost_slots: count }),
});

export const pipeline = v.strictObject({
  bounds: v.record(v.string(), count),
  shards: v.array(shardGauges),
});

const threshold = v.strictObject({
  value: v.number(),
  unit: v.string(),
  default: v.number(),
  min: v.number(),
  max: v.number(),
  whole: v.boolean(),
  raising: v.picklist(["quieter", "louder"]),
  cost: v.string(),
  chosen: v.boolean(),
});
const preset = v.picklist(presets);

export const configuration = v.strictObject({
  version: count,
  preset,
  thresholds: v.record(v.string(), v.record(v.string(), threshold)),
  updated_at: v.nullable(time),
  updated_by: v.nullable(v.string()),
});

/** Only described: `choiceIn` checks bodies, since it names everything that is wrong. */
export const configurationBody = v.strictObject({
  preset: v.optional(preset),
  thresholds: v.optional(v.record(v.string(), v.record(v.string(), v.number()))),
});

export const configurationVersions = v.strictObject({
  versions: v.array(
    v.strictObject({
      version: count,
      preset,
      thresholds: v.record(v.string(), v.record(v.string(), v.number())),
      updated_at: time,
      updated_by: v.string(),
    }),
  ),
});

const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const auditLink = v.strictObject({ sequence: count, hash });
const auditBreak = v.strictObject({ sequence: count, why: v.picklist(breakReasons) });

export const auditRows = v.strictObject({
  rows: v.array(
    v.strictObject({
      tenant: v.string(),
      sequence: count,
      at: v.nullable(time),
      actor: v.string(),
      action: v.string(),
      outcome: v.picklist(["success", "failure"]),
      count,
      detail: v.nullable(v.record(v.string(), v.nullable(v.union([v.string(), v.number(), v.boolean()])))),
      request_id: v.nullable(v.string()),
      previous: hash,
      hash,
    }),
  ),
  next: v.nullable(count),
});

/** `announced`: rows behind the head that writers were about to write. */
export const auditVerified = v.strictObject({
  status: v.picklist(["ok", "broken"]),
  broken: v.nullable(auditBreak),
  checked: count,
  last: count,
  next: v.nullable(count),
  head: v.strictObject({ ...auditLink.entries, announced: v.array(auditLink), broken: v.nullable(auditBreak) }),
});

const timeOrNull = v.nullable(time);

const keyEntries = {
  kid: v.string(),
  tenant: v.string(),
  role: v.picklist([...tenantRoles, "operator"]),
  permissions: v.array(v.picklist(permissions)),
  view: v.picklist(views),
  label: v.nullable(v.string()),
  source: v.picklist(["api", "environment"]),
  /** `rotated`: good until `grace_until`. */
  state: v.picklist(["good", "rotated", "not_yet", "expired", "revoked"]),
  signing: v.boolean(),
  not_before: timeOrNull,
  expires_at: timeOrNull,
  revoked_at: timeOrNull,
  grace_until: timeOrNull,
  replaced_by: v.nullable(v.string()),
  created_at: timeOrNull,
  created_by: v.nullable(v.string()),
};

export const apiKey = v.strictObject(keyEntries);
/** `bearer` is what its holder sends: `kid.secret`. It is told once. */
export const newApiKey = v.strictObject({ ...keyEntries, bearer: v.string() });
export const rotatedApiKey = v.strictObject({
  ...keyEntries,
  bearer: v.string(),
  replaces: v.strictObject({ kid: v.string(), grace_until: time }),
});
export const apiKeyList = v.strictObject({ keys: v.array(apiKey) });

const networks = v.nullable(v.array(v.string()));

const tenantEntries = {
  tenant: v.string(),
  source: v.picklist(["api", "environment"]),
  jurisdiction: v.nullable(v.picklist(jurisdictions)),
  shards: v.nullable(count),
  limits: v.strictObject({ flows_per_second: countOrNull, records_per_batch: countOrNull }),
  internal: networks,
  networks: v.strictObject({ allow: networks, deny: networks }),
  created_at: timeOrNull,
  created_by: v.nullable(v.string()),
  destroyed_at: timeOrNull,
  gone_at: timeOrNull,
};

export const tenant = v.strictObject(tenantEntries);
export const newTenant = v.strictObject({ ...tenantEntries, key: newApiKey });
export const tenantList = v.strictObject({ tenants: v.array(tenant), next: v.nullable(v.string()) });
export const destroyedTenant = v.strictObject({
  ...tenantEntries,
  /** What may still be there: to be asked for again until it is empty. */
  left: v.array(v.picklist(["keys", "shards", "rows", "requests"])),
});

const resealed = v.strictObject({ resealed: count, unreadable: count, left: count });

/** How far a rotation of data keys has come. `retire_at`: when older keys may be removed; null where there are none. */
export const rotation = v.strictObject({
  version: count,
  rows: resealed,
  blobs: resealed,
  done: v.boolean(),
  retire_at: timeOrNull,
});

export const rewrapping = v.strictObject({ rewrapped: count, left: count });

const day = v.pipe(v.string(), v.isoDate());

const modelVersionEntries = {
  sha256: hash,
  source: v.picklist(["built_in", "api"]),
  bytes: count,
  uploaded_at: timeOrNull,
  uploaded_by: v.nullable(v.string()),
  window_s: count,
  windows: count,
  features: v.array(v.string()),
  calibration_windows: count,
  metrics: v.nullable(v.strictObject({ columns: v.array(v.string()), rows: v.array(v.array(v.string())) })),
};

export const modelVersion = v.strictObject(modelVersionEntries);
export const modelVersionWithCard = v.strictObject({ ...modelVersionEntries, card: v.string() });

/** `drift` and `agreement` are null for all but the operator. */
export const knownModel = v.strictObject({
  name: v.picklist(modelNames),
  current: v.nullable(hash),
  previous: v.nullable(hash),
  shadow: v.nullable(hash),
  versions: v.array(modelVersion),
  drift: v.nullable(
    v.array(
      v.strictObject({
        /** Null: all days together. */
        day: v.nullable(day),
        sha256: hash,
        rows: count,
        level: v.nullable(v.picklist(["stable", "moderate", "shifted"])),
        score: v.nullable(v.number()),
        features: v.nullable(v.record(v.string(), v.number())),
      }),
    ),
  ),
  agreement: v.nullable(
    v.array(
      v.strictObject({
        day,
        current: hash,
        shadow: hash,
        rows: count,
        both: count,
        neither: count,
        only_current: count,
        only_shadow: count,
        mean_p_difference: fraction,
      }),
    ),
  ),
});

export const knownModels = v.strictObject({ revision: count, models: v.array(knownModel) });

/** `url` and `error` are null for all but the operator. */
export const modelInstance = v.strictObject({
  id: v.string(),
  model: v.picklist(modelNames),
  kind: v.picklist(instanceKinds),
  url: v.nullable(v.string()),
  has_bearer: v.boolean(),
  weight: count,
  health: v.picklist(["healthy", "unhealthy"]),
  failed_checks: count,
  /** Calls in flight that it told of at its last check; null where it does not tell. */
  load: v.nullable(count),
  /** Of the isolate that answers. */
  in_flight: count,
  last_check_at: timeOrNull,
  error: v.nullable(v.string()),
  /** SHA-256 of the version whose golden rows it got right at its last check. */
  verified: v.nullable(hash),
  breaker: v.nullable(
    v.strictObject({
      name: v.string(),
      state: v.picklist(["closed", "open", "half_open"]),
      failures: count,
      probe_in_ms: v.nullable(count),
    }),
  ),
});

export const modelInstances = v.strictObject({ instances: v.array(modelInstance) });

export const health = v.strictObject({ status: v.literal("ok") });

const problemDocument = v.looseObject({
  type: v.string(),
  status: count,
  title: v.string(),
  instance: v.string(),
});

const problemOf = (names: string) => ({
  description: names,
  content: { "application/problem+json": { schema: resolver(problemDocument) } },
});

/** The answers of a route for its description: what success looks like, and which problems there are by status. */
export function answers(schema: v.GenericSchema, description: string, problems: Record<number, string>) {
  return {
    200: { description, content: { "application/json": { schema: resolver(schema) } } },
    ...Object.fromEntries(Object.entries(problems).map(([status, names]) => [status, problemOf(names)])),
  };
}

/** Every route but the public ones. */
export const keyProblems = { 401: "unauthenticated", 403: "forbidden" };

/** Routes that administer tenants and keys. */
export const administrationProblems = { ...keyProblems, 503: "storage-unavailable" };
/** Those of them that take a body. */
export const administrationBodyProblems = {
  ...administrationProblems,
  400: "invalid-parameters",
  409: "conflict",
  413: "limit-exceeded",
  415: "unsupported-media-type",
};
