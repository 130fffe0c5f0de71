import { env } from "cloudflare:test";
import * as fc from "fast-check";
import { beforeEach, expect, it } from "vitest";
import * as v from "valibot";
import type { EntityShardRpc } from "../../durable-objects/shard-rpc.ts";
import { newTenant } from "../../src/api/schemas.ts";
import type { ShardRef } from "../../src/tiers/shard-call.ts";
import { administrationOf, auditOf, auth, clock, FakeShard, hourMs, testApp, verdict, vpcLines } from "./harness.ts";

/** Two tenants of the environment, and two that the API makes. */
const names = ["acme", "lab", "initech", "hooli"] as const;
const bearers = ["admin.secret", "other.secret"];

/** What a tenant has that no other may ever read: words that stand for it wherever they turn up. */
interface Own {
  name: (typeof names)[number];
  bearer: string;
  /** Of the first address that it found, and of all that it will. */
  network: string;
  words: string[];
  kids: string[];
  ids: string[];
}

type Isolate = ReturnType<typeof isolateOf>;

/** Objects outlive isolates; each tenant's finds only addresses of its own. */
function objects(owns: readonly Own[]): (ref: ShardRef) => EntityShardRpc {
  const known = new Map<string, FakeShard>();
  return ({ tenant, index }) => {
    const name = `${tenant}/${index}`;
    const shard = known.get(name) ?? new FakeShard();
    known.set(name, shard);
    const { network } = owns.find((own) => own.name === tenant)!;
    const entity = `${network}.${1 + (shard.calls.length % 3)}`;
    shard.verdicts = [verdict({ entity, summary: `${entity} knocked`, peers: [] })];
    return shard;
  };
}

function isolateOf(shardOf: (ref: ShardRef) => EntityShardRpc) {
  const audit = auditOf();
  const { app, pending } = testApp({ ...administrationOf({ audit }), audit, shardOf });
  return { app, pending, audit };
}

interface Step {
  /** Who asks, and whose things it asks for. */
  by: number;
  of: number;
  what: (typeof deeds)[number];
  /** Which of the isolates is asked. */
  at: number;
  n: number;
}

const deeds = [
  "ingest",
  "end",
  "list",
  "search",
  "get",
  "pipeline",
  "config",
  "configure",
  "keys",
  "make",
  "rotate",
  "revoke",
  "audit",
  "name",
] as const;

const steps = fc.array(
  fc.record({
    by: fc.nat(names.length - 1),
    of: fc.nat(names.length - 1),
    what: fc.constantFrom(...deeds),
    at: fc.nat(1),
    n: fc.nat(999),
  }),
  { minLength: 5, maxLength: 40 },
);

const json = { "Content-Type": "application/json" };
const pick = (some: readonly string[], n: number, otherwise: string) => some[n % some.length] ?? otherwise;

function requestOf(
  { what, n }: Step,
  by: Own,
  of: Own,
): [method: string, path: string, body?: string | undefined, more?: object] {
  const kid = pick(of.kids, n, "nobody");
  switch (what) {
    case "ingest":
      return ["POST", "/v1/ingest/aws-vpc", vpcLines(1 + (n % 3), n)];
    case "end":
      return ["POST", "/v1/ingest/end"];
    case "list":
      return ["GET", "/v1/anomalies?limit=500"];
    case "search":
      return ["GET", `/v1/anomalies?entity=${of.network}.${1 + (n % 3)}`];
    case "get":
      return ["GET", `/v1/anomalies/${pick(of.ids, n, "0".repeat(32))}`];
    case "pipeline":
      return ["GET", "/v1/pipeline"];
    case "config":
      return ["GET", n % 2 ? "/v1/config" : "/v1/config/versions"];
    case "configure":
      return ["PUT", "/v1/config", '{"preset":"quiet"}', { "If-Match": `"${n % 4}"`, ...json }];
    case "keys":
      return ["GET", "/v1/keys"];
    case "make":
      return ["POST", "/v1/keys", JSON.stringify({ role: "viewer", label: `label-of-${by.name}` }), json];
    case "rotate":
      return ["POST", `/v1/keys/${kid}/rotate`, "{}", json];
    case "revoke":
      return ["DELETE", `/v1/keys/${kid}`];
    case "audit":
      return ["GET", n % 2 ? "/v1/audit?limit=1000" : "/v1/audit/verify"];
    case "name":
      return ["GET", `/v1/anomalies?tenant=${of.name}`, undefined, { "X-Tenant": of.name, "Weir-Tenant": of.name }];
  }
}

/** Answers of a step: what is in it, and whether it did something. */
async function take(step: Step, isolates: readonly Isolate[], owns: readonly Own[]): Promise<void> {
  const [by, of] = [owns[step.by], owns[step.of]];
  const { app, pending, audit } = isolates[step.at];
  const [method, path, body, more] = requestOf(step, by, of);
  const headers = { Authorization: `Bearer ${by.bearer}`, ...more };
  const response = await app.request(path, { method, headers, ...(body !== undefined && { body }) });
  const text = await response.text();
  await Promise.all(pending.splice(0));
  await audit.flush();

  const what = `${by.name} did ${step.what} of ${of.name}: ${response.status} ${text}`;
  expect(response.status, what).toBeLessThan(500);
  const hidden = by === of || !["get", "rotate", "revoke"].includes(step.what) ? undefined : response.status;
  // 401: of somebody who revoked the key that it uses.
  expect([401, 404], what).toContain(hidden ?? 404);
  expect([401, 400], what).toContain(step.what === "name" ? response.status : 400);
  const told = JSON.parse(text) as { kid?: string; anomalies?: { id: string }[] };
  by.ids.push(...(told.anomalies ?? []).map(({ id }) => id).filter((id) => !by.ids.includes(id)));
  if (response.ok && (step.what === "make" || step.what === "rotate")) by.kids.push(told.kid!);
  const foreign = owns.filter((other) => other !== by).flatMap(({ words, kids, ids }) => [...words, ...kids, ...ids]);
  expect(
    foreign.filter((word) => text.includes(word)),
    what,
  ).toEqual([]);
}

beforeEach(() => {
  clock.now = hourMs;
});

async function empty(): Promise<void> {
  for (const table of ["anomalies", "anomaly_index", "configurations", "api_keys", "tenants"])
    await env.DB.exec(`DELETE FROM ${table}`);
}

async function tenantsThere(isolate: Isolate, shared: Own[]): Promise<void> {
  for (const [i, name] of names.entries()) {
    let bearer = bearers[i];
    if (!bearer) {
      const made = await isolate.app.request("/v1/tenants", {
        method: "POST",
        headers: { ...auth("operator"), ...json },
        body: JSON.stringify({ tenant: name }),
      });
      const { key } = v.parse(newTenant, await made.json());
      bearer = key.bearer;
    }
    const network = `10.${100 + i}.7`;
    const kid = bearer.split(".")[0];
    const words = [`${network}.`, `label-of-${name}`, `"tenant":"${name}"`];
    // "admin" and "other" are also words of the language.
    shared.push({ name, bearer, network, words, kids: i < bearers.length ? [] : [kid], ids: [] });
  }
}

it("tells no tenant anything of another one, whatever they do, and in which order", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      await empty();
      const owns: Own[] = [];
      const shardOf = objects(owns);
      const isolates = [isolateOf(shardOf), isolateOf(shardOf)];
      await tenantsThere(isolates[0], owns);
      // Something is there of each, so that there is something to leak.
      for (const [i] of names.entries()) {
        for (const what of ["ingest", "list", "make"] as const)
          await take({ by: i, of: i, what, at: 0, n: i }, isolates, owns);
        expect(owns[i].ids.length).toBeGreaterThan(0);
        expect(owns[i].kids.length).toBeGreaterThan(0);
      }
      for (const step of taken) {
        clock.now += 1000;
        await take(step, isolates, owns);
      }
    }),
    { numRuns: 15 },
  );
});
