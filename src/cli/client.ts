import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { Preset } from "../core/detectors/thresholds.ts";
import type { ModelOpinion, Severity, Threat, TierReport, VerdictState } from "../core/verdict.ts";
import type { ModelName, ModelPackage } from "../inference/model.ts";
import type { AuditRow, ChainHead } from "../security/audit-chain.ts";
import type { AuditDetail } from "../security/audit.ts";
import type { Permission, Role, View } from "../security/permissions.ts";
import type { Jurisdiction } from "../security/tenant.ts";
import type { AuditQuery } from "../storage/audits.ts";
import { shown, type Authorize } from "./authorization.ts";
import { Failure } from "./failure.ts";

/** What became of a batch's records, as the API answers it. */
export interface Balance {
  received: number;
  accepted: number;
  rejected: number;
  skipped: number;
  duplicate: number;
  late: number;
  sampled: number;
}

export interface VerdictChange {
  id: string;
  revision: number;
  state: VerdictState;
}

export interface IngestAnswer extends Balance {
  batch: string;
  rejects: { line: number; reason: string; [detail: string]: unknown }[];
  anomalies: VerdictChange[];
  stored: boolean;
  latency_ms: number;
}

/** A stored verdict, as far as the command line reads it. */
export interface StoredAnomaly {
  id: string;
  threat: Threat;
  severity: Severity;
  entity: string;
  peers: { address: string; port: number; protocol: string }[];
  summary: string;
  window: { start: string; end: string };
  state: VerdictState;
  tiers: TierReport[];
  models: ModelOpinion[];
  stored_revision: number;
  received_at: string;
  decided_at: string;
  stored_at: string;
}

/** What `GET /v1/config` answers. */
export interface ShownConfiguration {
  version: number;
  preset: Preset;
  thresholds: { [threat: string]: { [name: string]: ShownThreshold } };
  updated_at: string | null;
  updated_by: string | null;
}

interface ShownThreshold {
  value: number;
  unit: string;
  default: number;
  min: number;
  max: number;
  chosen: boolean;
}

/** What `PUT /v1/config` takes. */
export interface ChosenConfiguration {
  preset: Preset;
  thresholds: { [threat: string]: { [name: string]: number } };
}

/** A row of the audit log. */
export interface ShownAuditRow extends Omit<AuditRow, "at" | "detail"> {
  at: string | null;
  detail: AuditDetail | null;
}

/** A key as the API tells of it, as far as the command line reads it. */
export interface ShownKey {
  kid: string;
  role: Role;
  view: View;
  label: string | null;
  source: "api" | "environment";
  state: string;
  expires_at: string | null;
  revoked_at: string | null;
  grace_until: string | null;
}

/** `bearer` is told once. */
export type ShownNewKey = ShownKey & { bearer: string };

/** What `POST /v1/data-keys/rotate` answers. */
export interface Rotation {
  version: number;
  rows: { resealed: number; unreadable: number; left: number };
  blobs: { resealed: number; unreadable: number; left: number };
  done: boolean;
  retire_at: string | null;
}

export interface KeyWish {
  role: Role;
  permissions?: readonly Permission[] | undefined;
  view?: View | undefined;
  label?: string | undefined;
  not_before?: string | undefined;
  expires_at?: string | undefined;
  signing?: boolean | undefined;
}

export interface ShownTenant {
  tenant: string;
  source: "api" | "environment";
  jurisdiction: Jurisdiction | null;
  shards: number | null;
  limits: { flows_per_second: number | null; records_per_batch: number | null };
  created_at: string | null;
  destroyed_at: string | null;
  gone_at: string | null;
}

/** What is not named stays; null takes a bound or a list away. */
export interface TenantLimitsWish {
  shards?: number;
  limits?: { flows_per_second?: number | null; records_per_batch?: number | null };
  networks?: { allow?: readonly string[] | null; deny?: readonly string[] | null };
}

export interface TenantWish extends TenantLimitsWish {
  tenant: string;
  internal?: readonly string[] | undefined;
  jurisdiction?: Jurisdiction | undefined;
}

export interface ShownModelVersion {
  sha256: string;
  source: "built_in" | "api";
  bytes: number;
  uploaded_at: string | null;
  uploaded_by: string | null;
  features: string[];
  calibration_windows: number;
}

export interface ShownDrift {
  /** Null: all days together. */
  day: string | null;
  sha256: string;
  rows: number;
  level: string | null;
  score: number | null;
  features: { [feature: string]: number } | null;
}

interface ShownAgreement {
  day: string;
  current: string;
  shadow: string;
  rows: number;
  both: number;
  neither: number;
  only_current: number;
  only_shadow: number;
  mean_p_difference: number;
}

/** A model as the API tells the operator of it. */
export interface ShownModel {
  name: ModelName;
  current: string | null;
  previous: string | null;
  shadow: string | null;
  versions: ShownModelVersion[];
  drift: ShownDrift[] | null;
  agreement: ShownAgreement[] | null;
}

export interface AnomalyQuery {
  [parameter: string]: string | number | readonly string[] | undefined;
}

/** As shippers do it. */
export function gzip(body: Uint8Array): Uint8Array<ArrayBuffer> {
  return gzipSync(body, { level: 6 });
}

const attemptsMax = 6;
const backoffMs = 500;

/** Weir's HTTP API, from the outside. */
export class Client {
  readonly url: string;
  readonly #authorize: Authorize;
  readonly #onWait: (reason: string, seconds: number) => void;

  constructor(url: string, key: string | Authorize, onWait: (reason: string, seconds: number) => void = () => {}) {
    this.url = url.replace(/\/+$/, "");
    this.#authorize = typeof key === "string" ? shown(key) : key;
    this.#onWait = onWait;
  }

  /** Sends one gzipped batch; again while the answer is "later" or none: Weir knows a batch by its content. */
  ingest(format: string, gzipBody: Uint8Array<ArrayBuffer>, samplingRate?: number): Promise<IngestAnswer> {
    const search = samplingRate === undefined ? "" : `?sampling_rate=${samplingRate}`;
    return this.#request("POST", `/v1/ingest/${encodeURIComponent(format)}${search}`, gzipBody, {
      "content-encoding": "gzip",
    });
  }

  end(): Promise<{ anomalies: VerdictChange[]; stored: boolean }> {
    return this.#request("POST", "/v1/ingest/end");
  }

  configuration(): Promise<ShownConfiguration> {
    return this.#request("GET", "/v1/config");
  }

  /** Replaces version `version`; fails if another one is in force by now. */
  replaceConfiguration(version: number, chosen: ChosenConfiguration): Promise<ShownConfiguration> {
    const body = new TextEncoder().encode(JSON.stringify(chosen));
    return this.#request("PUT", "/v1/config", body, { "if-match": `"${version}"`, "content-type": "application/json" });
  }

  anomalyPage(query: AnomalyQuery): Promise<{ anomalies: StoredAnomaly[]; next: string | null }> {
    return this.#request("GET", `/v1/anomalies?${searchOf(query)}`);
  }

  /** All that match, over as many pages as it takes; at most `atMost`. */
  async anomalies(query: AnomalyQuery, atMost = Infinity): Promise<StoredAnomaly[]> {
    const out: StoredAnomaly[] = [];
    for (let cursor: string | undefined; ;) {
      const limit = Math.min(500, atMost - out.length);
      const page = await this.anomalyPage({ ...query, limit, cursor });
      out.push(...page.anomalies);
      if (page.next === null || out.length >= atMost) return out;
      cursor = page.next;
    }
  }

  auditRows(query: AuditQuery): Promise<{ rows: ShownAuditRow[]; next: number | null }> {
    return this.#request("GET", `/v1/audit?${searchOf({ ...query })}`);
  }

  async auditHead(): Promise<ChainHead> {
    const part = await this.#request<{ head: ChainHead }>("GET", "/v1/audit/verify?limit=1");
    return part.head;
  }

  /** Does a part of it; `isResumed`: of what was begun. */
  rotateDataKeys(isResumed: boolean): Promise<Rotation> {
    return this.#request("POST", `/v1/data-keys/rotate${isResumed ? "?resume=true" : ""}`);
  }

  /** Does a part of it. */
  rewrapKeys(): Promise<{ rewrapped: number; left: number }> {
    return this.#request("POST", "/v1/data-keys/rewrap");
  }

  keys(): Promise<{ keys: ShownKey[] }> {
    return this.#request("GET", "/v1/keys");
  }

  createKey(wish: KeyWish): Promise<ShownNewKey> {
    return this.#json("POST", "/v1/keys", wish);
  }

  /** The old key is good for `graceS` more; as long as Weir says unless told. */
  rotateKey(kid: string, graceS?: number): Promise<ShownNewKey & { replaces: { kid: string; grace_until: string } }> {
    return this.#json("POST", `/v1/keys/${encodeURIComponent(kid)}/rotate`, { grace_s: graceS });
  }

  revokeKey(kid: string): Promise<ShownKey> {
    return this.#request("DELETE", `/v1/keys/${encodeURIComponent(kid)}`);
  }

  /** All of them, over as many pages as it takes. */
  async tenants(): Promise<ShownTenant[]> {
    const out: ShownTenant[] = [];
    for (let behind: string | undefined; ;) {
      const path = `/v1/tenants?${searchOf({ behind })}`;
      const page = await this.#request<{ tenants: ShownTenant[]; next: string | null }>("GET", path);
      out.push(...page.tenants);
      if (page.next === null) return out;
      behind = page.next;
    }
  }

  tenant(id: string): Promise<ShownTenant> {
    return this.#request("GET", `/v1/tenants/${encodeURIComponent(id)}`);
  }

  createTenant(wish: TenantWish): Promise<ShownTenant & { key: ShownNewKey }> {
    return this.#json("POST", "/v1/tenants", wish);
  }

  changeTenant(id: string, wish: TenantLimitsWish): Promise<ShownTenant> {
    return this.#json("PATCH", `/v1/tenants/${encodeURIComponent(id)}`, wish);
  }

  /** Answers what may still be there. */
  destroyTenant(id: string): Promise<ShownTenant & { left: string[] }> {
    return this.#request("DELETE", `/v1/tenants/${encodeURIComponent(id)}`, undefined, { "weir-confirm": id });
  }

  models(): Promise<{ revision: number; models: ShownModel[] }> {
    return this.#request("GET", "/v1/models");
  }

  modelVersion(name: ModelName, sha256: string): Promise<ShownModelVersion & { card: string }> {
    return this.#request("GET", `/v1/models/${name}/versions/${sha256}`);
  }

  async uploadModel({ name, sha256, onnx, features, calibration, golden, card }: ModelPackage) {
    const form = new FormData();
    for (const [part, value] of Object.entries({ name, sha256, card })) form.set(part, value);
    for (const [part, value] of Object.entries({ features, calibration, golden }))
      form.set(part, JSON.stringify(value));
    form.set("model", new Blob([onnx]));
    const whole = new Response(form);
    const headers = { "content-type": whole.headers.get("content-type")! };
    return this.#request<ShownModelVersion>("POST", "/v1/models", new Uint8Array(await whole.arrayBuffer()), headers);
  }

  /** Based on `revision`; fails if another one is in force by now. */
  changeModel(
    name: ModelName,
    change: "promote" | "rollback" | "shadow",
    revision: number,
    sha256?: string | null,
  ): Promise<ShownModel> {
    return this.#json("POST", `/v1/models/${name}/${change}`, { sha256 }, { "if-match": `"${revision}"` });
  }

  #json<T>(method: string, path: string, body: object, headers = {}): Promise<T> {
    const text = new TextEncoder().encode(JSON.stringify(body));
    return this.#request(method, path, text, { ...headers, "content-type": "application/json" });
  }

  async #request<T>(method: string, path: string, body?: Uint8Array<ArrayBuffer>, headers = {}): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      let response: Response;
      try {
        response = await fetch(this.url + path, {
          method,
          ...(body && { body }),
          headers: { ...headers, authorization: this.#authorize(method, this.url + path, body) },
        });
        if (response.ok) return (await response.json()) as T;
      } catch (error) {
        // Whoever is not there at first will hardly come; whoever went away may come back.
        if (attempt === attemptsMax || isRefused(error)) throw new Failure(`No Weir answers at ${this.url}.`);
        await this.#wait("no answer", (backoffMs / 1000) * 2 ** (attempt - 1));
        continue;
      }
      const problem = await problemOf(response);
      const isLater = response.status === 429 || response.status === 503;
      if (!isLater || attempt === attemptsMax) throw new Failure(problem);
      await this.#wait(problem, retryAfterSeconds(response) ?? (backoffMs / 1000) * 2 ** (attempt - 1));
    }
  }

  async #wait(reason: string, seconds: number): Promise<void> {
    this.#onWait(reason, seconds);
    await sleep(seconds * 1000);
  }
}

function searchOf(query: AnomalyQuery): URLSearchParams {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) search.append(name, String(one));
  }
  return search;
}

function isRefused(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause as { code?: string; errors?: { code?: string }[] }) : undefined;
  return cause?.code === "ECONNREFUSED" || cause?.errors?.[0]?.code === "ECONNREFUSED";
}

/** Seconds, or a date. */
function retryAfterSeconds(response: Response): number | undefined {
  const text = response.headers.get("retry-after");
  if (text === null) return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.min(seconds, 300)) : undefined;
}

/** A problem document as a sentence. */
export async function problemOf(response: Response): Promise<string> {
  try {
    const { title, why, detail, limit, known, errors, setting } = (await response.json()) as Record<string, any>;
    const more = [
      [why, detail].filter(Boolean).join(": "),
      limit && `${limit.name}, ${limit.value} ${limit.unit}`,
      known?.length > 0 && `known are ${known.join(", ")}`,
      setting,
      errors?.map((e: any) => `${e.parameter ?? e.header ?? e.pointer}: ${e.detail}`).join("; "),
    ].filter(Boolean);
    return `${response.status}: ${title ?? response.statusText}${more.length > 0 ? ` (${more.join("; ")})` : ""}.`;
  } catch {
    return `${response.status} ${response.statusText}.`;
  }
}
