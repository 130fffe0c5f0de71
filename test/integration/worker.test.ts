import { createExecutionContext, env } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { pipeline } from "../../src/api/schemas.ts";
import { systemClock } from "../../src/config.ts";
import type { ModelOpinion, TierReport } from "../../src/core/verdict.ts";
import worker from "../../src/index.ts";
import { auth, vpcLines } from "./harness.ts";

/** The Worker as it is deployed: real configuration, D1 and object. */
const send = (path: string, init: Omit<RequestInit, "headers"> & { headers?: Record<string, string> } = {}) =>
  exports.default.fetch(`https://weir.example${path}`, { ...init, headers: { ...auth("admin"), ...init.headers } });

/** A host that tries 400 ports of one other, every second one, an hour ago. */
function scan(host = "10.0.0.66"): string {
  const startS = Math.floor(Date.now() / 3_600_000) * 3600 - 3600;
  const line = (i: number) =>
    `2 123456789010 eni-1 ${host} 10.0.1.9 ${40_000 + i} ${1 + i} 6 1 40 ${startS + i} ${startS + i} REJECT OK\n`;
  return Array.from({ length: 400 }, (_, i) => line(i)).join("");
}

describe("the Worker", () => {
  it("takes a scan in and gives a verdict out", async () => {
    const body = gzipSync(scan());
    const post = () => send("/v1/ingest/auto", { method: "POST", body, headers: { "Content-Encoding": "gzip" } });
    const first = await post();
    expect(first.status).toBe(200);
    expect(await first.json()).toMatchObject({ received: 400, accepted: 400, stored: true });
    expect(await (await post()).json()).toMatchObject({ accepted: 0, duplicate: 400 });

    const end = await send("/v1/ingest/end", { method: "POST" });
    expect(await end.json()).toMatchObject({ stored: true });
    const found = await send("/v1/anomalies?threat=port_scan&entity=10.0.0.66");
    const { anomalies } = (await found.json()) as { anomalies: object[] };
    expect(anomalies.length).toBeGreaterThan(0);
    expect(anomalies[0]).toMatchObject({ entity: "10.0.0.66", tenant: "acme", state: "final" });

    const other = await send("/v1/anomalies", { headers: auth("other") });
    expect(await other.json()).toEqual({ anomalies: [], next: null });
  });

  it("has models look at hosts on which there is a finding, once they are there", async () => {
    // An isolate that is cold goes on without models, and says so.
    let seen: { tiers: TierReport[]; models: ModelOpinion[] }[] = [];
    for (let host = 1; host <= 200 && !seen.some(({ models }) => models.length === 2); host++) {
      const entity = `10.0.5.${host}`;
      await systemClock.wait(100);
      await send("/v1/ingest/aws-vpc", { method: "POST", body: scan(entity) });
      const found = await send(`/v1/anomalies?threat=port_scan&entity=${entity}`);
      ({ anomalies: seen } = (await found.json()) as { anomalies: typeof seen });
      const [, second] = seen[0].tiers;
      expect(second.models?.every(({ ran, reason }) => ran || reason === "warming_up")).toBe(true);
    }
    const [{ tiers, models }] = seen;
    expect(tiers.map(({ tier, ran, reason }) => [tier, ran, reason])).toEqual([
      [1, true, null],
      [2, true, null],
      [3, false, "not_built"],
    ]);
    expect(models.map(({ model }) => model)).toEqual(["isolation_forest", "lstm_autoencoder"]);
    for (const { p_value, score, version, contributions } of models) {
      expect(p_value).toBeGreaterThan(0);
      expect(p_value).toBeLessThanOrEqual(1);
      expect(score).toBeGreaterThan(0);
      expect(version).toMatch(/^[0-9a-f]{12}$/);
      expect(contributions.every(({ feature, share }) => feature.length > 0 && share >= 0 && share <= 1)).toBe(true);
    }
  });

  it("shows what its shards hold", async () => {
    await send("/v1/ingest/auto", { method: "POST", body: vpcLines(50, 7000) });
    const response = await send("/v1/pipeline");
    const shown = v.parse(pipeline, await response.json());
    expect(shown.shards).toHaveLength(1);
    const [{ log_rows, batch_keys, entities, state_bytes }] = shown.shards;
    expect([log_rows, batch_keys, entities].every((count) => count > 0)).toBe(true);
    expect(state_bytes).toBeLessThan(shown.bounds["slot_state_bytes_hard"] * 256);
    expect((await send("/v1/pipeline", { headers: auth("shipper") })).status).toBe(403);
  });

  it("refuses the same Idempotency-Key with another body", async () => {
    const post = (body: string) =>
      send("/v1/ingest/aws-vpc", { method: "POST", body, headers: { "Idempotency-Key": "one" } });
    expect((await post(vpcLines(2))).status).toBe(200);
    expect((await post(vpcLines(3))).status).toBe(422);
  });

  it("names the setting that keeps it from working", async () => {
    const request = new Request<unknown, IncomingRequestCfProperties>("https://weir.example/healthz");
    const path: string = "../../src/index.ts?fresh";
    const { default: fresh } = (await import(path)) as { default: typeof worker };
    const response = await fresh.fetch(request, { ...env, MASTER_KEY: "short" } as Env, createExecutionContext());
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ type: "/problems/misconfigured", setting: "MASTER_KEY" });
  });
});
