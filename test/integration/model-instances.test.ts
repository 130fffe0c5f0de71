import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as v from "valibot";
import { modelInstance, modelInstances } from "../../src/api/schemas.ts";
import { builtInModels } from "../../src/inference/built-in.ts";
import { checkFailuresMax, instancesMax } from "../../src/inference/instances.ts";
import type { Tensors } from "../../src/inference/model.ts";
import { breakerStub } from "./breaker-objects.ts";
import { okay, problem } from "./answers.ts";
import { auth, instancesObject, testApp } from "./harness.ts";
import { openSession } from "../../wasm/onnx-runtime.ts";

const forest = builtInModels().get("isolation_forest")!;
const inline = "isolation_forest-inline";

const { app, audited } = testApp();

function send(method: string, path = "", body?: object, kid: Parameters<typeof auth>[0] = "operator") {
  const json = body && { body: JSON.stringify(body) };
  const headers = { ...auth(kid), ...(body && { "Content-Type": "application/json" }) };
  return app.request(`/v1/models/instances${path}`, { method, headers, ...json });
}

async function listed(kid?: Parameters<typeof auth>[0]) {
  const { instances } = v.parse(modelInstances, await okay(await send("GET", "", undefined, kid)));
  return new Map(instances.map((instance) => [instance.id, instance]));
}

const register = async (wish: object) =>
  v.parse(modelInstance, await okay(await send("POST", "", { model: "isolation_forest", ...wish })));

/** What servers answer, by host; others cannot be reached. Calls are kept. */
const servers = new Map<string, (path: string, body: unknown) => Response | Promise<Response>>();
const calls: { url: string; authorization: string | null }[] = [];

async function answer(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const { host, pathname } = new URL(request.url);
  calls.push({ url: request.url, authorization: request.headers.get("Authorization") });
  const server = servers.get(host);
  if (!server) throw new TypeError("Network connection lost");
  return server(pathname, request.body && (await request.json()));
}

/** A server that has the forest that ships with the Worker, behind this base. */
async function forestServer(host: string, base = "", twist = (score: number) => score): Promise<void> {
  const session = await openSession(forest.onnx);
  servers.set(host, async (path, body) => {
    if (path === `${base}/v2/health/ready` || path === `${base}/v2/models/isolation_forest/ready`)
      return new Response();
    if (path !== `${base}/v2/models/isolation_forest/infer`) return new Response("no", { status: 404 });
    const { inputs } = body as { inputs: { name: string; shape: number[]; data: number[] }[] };
    const tensors = Object.fromEntries(
      inputs.map(({ name, shape, data }) => [name, { dims: shape, data: Float32Array.from(data) }]),
    );
    const { score }: Tensors = await session.run(tensors);
    const data = Array.from(score.data, twist);
    return Response.json({ outputs: [{ name: "score", datatype: "FP32", shape: score.dims, data }] });
  });
}

beforeEach(() => void vi.stubGlobal("fetch", answer));
afterEach(async () => {
  vi.unstubAllGlobals();
  servers.clear();
  calls.length = 0;
  for (const { id, kind } of await instancesObject().list()) if (kind !== "inline") await instancesObject().remove(id);
  await instancesObject().remove(inline);
  await instancesObject().register({
    id: inline,
    model: "isolation_forest",
    kind: "inline",
    url: null,
    weight: 1,
    bearer: null,
  });
});

describe("the instances of a deployment", () => {
  it("are at first one for each model, where it is asked", async () => {
    const instances = await listed("viewer");
    expect([...instances.keys()].toSorted()).toEqual(["isolation_forest-inline", "lstm_autoencoder-inline"]);
    expect(instances.get(inline)).toMatchObject({
      kind: "inline",
      weight: 1,
      health: "healthy",
      load: null,
      in_flight: 0,
      breaker: { state: "closed", failures: 0, probe_in_ms: null },
    });
    expect(instances.get(inline)?.breaker?.name).toMatch(/^model\/isolation_forest\/[0-9a-f]{12}$/);
  });

  it("are registered and removed by the operator, and both is recorded", async () => {
    await forestServer("models.example");
    const given = { id: "gpu-1", kind: "remote", url: "https://models.example/", weight: 3, bearer: "s3cret-of-gpu" };
    const registered = await register(given);
    expect(registered).toMatchObject({ id: "gpu-1", url: "https://models.example", weight: 3, has_bearer: true });
    expect(registered).toMatchObject({ health: "healthy", verified: forest.sha256, error: null, failed_checks: 0 });
    expect(registered.breaker).toMatchObject({ name: "remote/gpu-1", state: "closed" });
    expect(calls.every(({ authorization }) => authorization === "Bearer s3cret-of-gpu")).toBe(true);
    const again = await send("POST", "", { ...given, model: "isolation_forest" });
    expect(await problem(again)).toMatchObject({ status: 409, detail: "there is an instance gpu-1 already" });
    expect((await listed()).get("gpu-1")).toEqual(registered);
    await okay(await send("DELETE", "/gpu-1"));
    expect((await listed()).has("gpu-1")).toBe(false);
    expect(await problem(await send("DELETE", "/gpu-1"))).toMatchObject({ status: 404 });
    const changes = audited.filter(
      ({ action, outcome }) => action.startsWith("model_instances.") && outcome === "success",
    );
    expect(changes.filter(({ action }) => !action.endsWith("read"))).toMatchObject([
      { tenant: "-", actor: "operator", action: "model_instances.register", detail: { id: "gpu-1", kind: "remote" } },
      { tenant: "-", actor: "operator", action: "model_instances.remove", detail: { id: "gpu-1" } },
    ]);
  });

  it("never show a key, and addresses and errors only to the operator", async () => {
    servers.set("models.example", () => new Response("disk full", { status: 500 }));
    await register({ id: "gpu-2", kind: "remote", url: "https://models.example/a", bearer: "s3cret-of-gpu" });
    expect((await listed()).get("gpu-2")).toMatchObject({ url: "https://models.example/a", has_bearer: true });
    expect((await listed()).get("gpu-2")?.error).toContain("disk full");
    expect((await listed("viewer")).get("gpu-2")).toMatchObject({ url: null, error: null, health: "unhealthy" });
    const rows = await runInDurableObject(instancesObject(), (_, { storage }) =>
      JSON.stringify([...storage.sql.exec("SELECT * FROM instances")]),
    );
    expect(rows).toContain("https://models.example/a");
    expect(rows).not.toContain("s3cret");
    const text = await (await send("GET")).text();
    expect(text).not.toContain("s3cret");
    expect(text).not.toContain("sealed");
  });

  it.each([
    [{ kind: "remote" }, "/url"],
    [{ kind: "remote", url: "http://models.example" }, "/url"],
    [{ kind: "remote", url: "https://a:b@models.example" }, "/url"],
    [{ kind: "remote", url: "https://models.example/?x=1" }, "/url"],
    [{ kind: "runner", url: "https://models.example" }, "/url"],
    [{ kind: "runner", bearer: "abc" }, "/bearer"],
    [{ kind: "remote", url: "https://models.example", bearer: "two words" }, "/bearer"],
    [{ kind: "runner", weight: 101 }, "/weight"],
    [{ kind: "runner", weight: 0.5 }, "/weight"],
    [{ kind: "runner", id: "UPPER" }, "/id"],
    [{ kind: "runner", model: "oracle" }, "/model"],
  ])("are not registered as %j", async (wish, pointer) => {
    const response = await send("POST", "", { id: "odd", model: "isolation_forest", ...wish });
    expect(await problem(response)).toMatchObject({ status: 400, errors: [{ pointer }] });
    expect((await listed()).has("odd")).toBe(false);
  });

  it(`are at most ${instancesMax}`, async () => {
    const wish = { model: "lstm_autoencoder", kind: "inline", url: null, weight: 0, bearer: null } as const;
    const known = (await instancesObject().list()).length;
    for (let i = known; i < instancesMax; i++) await instancesObject().register({ ...wish, id: `many-${i}` });
    const response = await send("POST", "", { id: "one-more", model: "isolation_forest", kind: "inline" });
    const detail = `there are ${instancesMax} instances already`;
    expect(await problem(response)).toMatchObject({ status: 409, detail });
    for (let i = known; i < instancesMax; i++) await instancesObject().remove(`many-${i}`);
  });
});

describe("health", () => {
  const wish = { id: "far", kind: "remote", url: "https://far.example" };
  const alarm = async () => {
    await evictDurableObject(instancesObject());
    return runDurableObjectAlarm(instancesObject());
  };

  it("is lost after three failed checks in a row and comes back with one, by the alarm", async () => {
    await forestServer("far.example");
    expect(await register(wish)).toMatchObject({ health: "healthy" });
    servers.clear();
    for (let failed = 1; failed < checkFailuresMax; failed++) {
      expect(await alarm()).toBe(true);
      expect((await listed()).get("far")).toMatchObject({ health: "healthy", failed_checks: failed });
    }
    await alarm();
    expect((await listed()).get("far")).toMatchObject({ health: "unhealthy", failed_checks: checkFailuresMax });
    expect((await listed()).get("far")?.error).toContain("Network connection lost");
    await forestServer("far.example");
    await alarm();
    expect((await listed()).get("far")).toMatchObject({ health: "healthy", failed_checks: 0, error: null });
  });

  it("is not that of a server with another model, whatever it says of itself", async () => {
    await forestServer("far.example", "", (score) => score + 1e-3);
    expect(await register(wish)).toMatchObject({ health: "unhealthy", verified: null });
    expect((await listed()).get("far")?.error).toContain("golden_mismatch");
  });

  it("of one server says nothing of another, and no check goes where a server sends it", async () => {
    await forestServer("far.example", "/base");
    servers.set("near.example", () => Response.redirect("https://far.example/base", 307));
    await register({ ...wish, url: "https://far.example/base" });
    await register({ ...wish, id: "near", url: "https://near.example", bearer: "s3cret" });
    const instances = await listed();
    expect(instances.get("far")).toMatchObject({ health: "healthy" });
    expect(instances.get("near")).toMatchObject({ health: "unhealthy" });
    const shown = calls.filter(({ authorization }) => authorization !== null);
    expect(shown.map(({ url }) => new URL(url).host)).toEqual(["near.example"]);
  });

  it("of a runner is what it makes of the golden rows, in its own object", async () => {
    const runner = await register({ id: "aside", kind: "runner", weight: 2 });
    expect(runner).toMatchObject({ health: "healthy", load: 0, verified: forest.sha256, url: null });
    expect(runner.breaker?.name).toBe("model/isolation_forest/aside");
  });

  it("is not asked for where everything runs inline: the alarm ends with the last of the others", async () => {
    await register({ id: "aside", kind: "runner" });
    expect(await alarm()).toBe(true);
    await okay(await send("DELETE", "/aside"));
    expect(await alarm()).toBe(true);
    expect(await alarm()).toBe(false);
  });
});

describe("a breaker", () => {
  it("is shown with the instance that it guards", async () => {
    await forestServer("far.example");
    await register({ id: "guarded", kind: "remote", url: "https://far.example" });
    await runInDurableObject(breakerStub("remote/guarded"), async (instance, { storage }) => {
      const breaker = { state: "open", failures: 5, lastFailureMs: Date.now(), lease: 0, leaseUntilMs: 0 };
      Object.assign(instance, { breaker });
      await storage.put("data", { breaker });
    });
    const { breaker } = (await listed("viewer")).get("guarded")!;
    expect(breaker).toMatchObject({ name: "remote/guarded", state: "open", failures: 5 });
    expect(breaker!.probe_in_ms).toBeGreaterThan(0);
    expect(breaker!.probe_in_ms).toBeLessThanOrEqual(60_000);
  });
});

describe("a runner", () => {
  const runner = env.MODEL_RUNNER.get(env.MODEL_RUNNER.idFromName("r1"));
  const inputs = {
    features: {
      dims: [2, forest.features.features.length],
      data: new Float32Array(2 * forest.features.features.length),
    },
  };

  it("runs the version that it is told, as this isolate would", async () => {
    const here = await (await openSession(forest.onnx)).run(inputs);
    const there = await runner.run({ model: "isolation_forest", sha256: forest.sha256, inputs });
    expect(there).toEqual({ outputs: here });
  });

  it("says what is wrong, and goes on", async () => {
    const unknown = await runner.run({ model: "isolation_forest", sha256: "0".repeat(64), inputs });
    expect(unknown).toEqual({ error: "there is no version 000000000000 of isolation_forest" });
    const odd = { features: { dims: [1, 1], data: Float32Array.of(Number.NaN) } };
    expect(await runner.run({ model: "isolation_forest", sha256: forest.sha256, inputs: odd })).toHaveProperty("error");
    expect(await runner.run({ model: "isolation_forest", sha256: forest.sha256, inputs })).toHaveProperty("outputs");
  });
});
