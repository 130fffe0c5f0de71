import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { Preset } from "../core/detectors/thresholds.ts";
import type { Severity, Threat, VerdictState } from "../core/verdict.ts";
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
  readonly #key: string;
  readonly #onWait: (reason: string, seconds: number) => void;

  constructor(url: string, key: string, onWait: (reason: string, seconds: number) => void = () => {}) {
    this.url = url.replace(/\/+$/, "");
    this.#key = key;
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
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) search.append(name, String(one));
    }
    return this.#request("GET", `/v1/anomalies?${search}`);
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

  async #request<T>(method: string, path: string, body?: Uint8Array<ArrayBuffer>, headers = {}): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      let response: Response;
      try {
        response = await fetch(this.url + path, {
          method,
          ...(body && { body }),
          headers: { ...headers, authorization: `Bearer ${this.#key}` },
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
    const { title, detail, limit, known, errors, setting } = (await response.json()) as Record<string, any>;
    const more = [
      detail,
      limit && `${limit.name}, ${limit.value} ${limit.unit}`,
      known && `known are ${known.join(", ")}`,
      setting,
      errors?.map((e: any) => `${e.parameter ?? e.header ?? e.pointer}: ${e.detail}`).join("; "),
    ].filter(Boolean);
    return `${response.status}: ${title ?? response.statusText}${more.length > 0 ? ` (${more.join("; ")})` : ""}.`;
  } catch {
    return `${response.status} ${response.statusText}.`;
  }
}
