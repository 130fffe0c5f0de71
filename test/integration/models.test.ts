import { createScheduledController, env, evictDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import { knownModel, knownModels, modelVersion, modelVersionWithCard } from "../../src/api/schemas.ts";
import type { ModelPackage } from "../../src/inference/model.ts";
import { modelBytesMax } from "../../src/inference/onnx-file.ts";
import { tryPackage } from "../../src/inference/trial.ts";
import worker from "../../src/index.ts";
import { openSession } from "../../wasm/onnx-runtime.ts";
import { forestModel, tinyForest, tinySequence, withBytes } from "../support/tiny-models.ts";
import { writeOnnx } from "../support/onnx-writer.ts";
import { okay, problem } from "./answers.ts";
import { auditOf, auth, clock, hourMs, modelsOf, testApp } from "./harness.ts";

const own = tinyForest();

/** The forest once more, as another file: ModelProto has a field 6, `doc_string`. */
function another(text: string, more: Partial<ModelPackage> = {}): ModelPackage {
  const doc = new TextEncoder().encode(text);
  const onnx = new Uint8Array([...own.onnx, 0x32, doc.length, ...doc]);
  return { ...withBytes(own, onnx), card: `# ${text}\n`, ...more };
}

function formOf(pkg: ModelPackage, more: { [part: string]: string | Blob | null } = {}): FormData {
  const parts: typeof more = {
    name: pkg.name,
    model: new Blob([pkg.onnx]),
    features: JSON.stringify(pkg.features),
    calibration: JSON.stringify(pkg.calibration),
    golden: JSON.stringify(pkg.golden),
    card: pkg.card,
    ...more,
  };
  const form = new FormData();
  for (const [name, value] of Object.entries(parts)) if (value !== null) form.set(name, value);
  return form;
}

let deployments = 0;

/** A deployment of its own: an object that nobody has used. Each isolate has its own memory. */
function deployment() {
  const name = `deployment-${deployments++}`;
  const registry = () => env.MODEL_REGISTRY.get(env.MODEL_REGISTRY.idFromName(name));
  const trial = { tryPackage: (pkg: ModelPackage) => tryPackage(pkg, openSession) };
  const isolate = (more: Parameters<typeof modelsOf>[0] = {}) => modelsOf({ registry, ...trial, ...more });
  const models = isolate();
  const { app } = testApp({ modelVersions: models.versions });
  const get = (path = "/v1/models", headers = auth("operator")) => app.request(path, { headers });
  const upload = (form: FormData, headers = auth("operator")) =>
    app.request("/v1/models", { method: "POST", body: form, headers });
  /** Based on the revision of now, unless told. */
  const point = async (change: string, body?: object, ifMatch?: string, headers = auth("operator")) => {
    const etag = ifMatch ?? (await get()).headers.get("ETag")!;
    const json = body && { body: JSON.stringify(body) };
    const all = { ...headers, "If-Match": etag, "Content-Type": "application/json" };
    return app.request(`/v1/models/isolation_forest/${change}`, { method: "POST", ...json, headers: all });
  };
  const forest = async (headers = auth("operator")) => {
    const { models: shown } = v.parse(knownModels, await okay(await get("/v1/models", headers)));
    return shown.find((model) => model.name === "isolation_forest")!;
  };
  return { ...models, registry, isolate, app, get, upload, point, forest };
}

const current = async ({ inForce }: Pick<ReturnType<typeof modelsOf>, "inForce">) => {
  const found = await inForce.of("isolation_forest");
  return typeof found.current === "string" ? found.current : found.current.sha256;
};

beforeEach(() => {
  clock.now = hourMs;
});

describe("/v1/models", () => {
  it("has the models that ship with the Worker, without an upload", async () => {
    const { get, forest } = deployment();
    const response = await get();
    expect(response.headers.get("ETag")).toBe('"0"');
    const { revision, models } = v.parse(knownModels, await okay(response));
    expect([revision, models.map(({ name }) => name)]).toEqual([0, ["isolation_forest", "lstm_autoencoder"]]);
    expect(await forest()).toMatchObject({
      current: own.sha256,
      previous: null,
      shadow: null,
      versions: [{ sha256: own.sha256, source: "built_in", uploaded_at: null, calibration_windows: 999, windows: 1 }],
      drift: [],
      agreement: [],
    });
  });

  it("takes a version, has it in shadow, promotes it, and takes it back", async () => {
    const { upload, point, forest, get, isolate } = deployment();
    const next = another("next");
    const version = v.parse(modelVersion, await okay(await upload(formOf(next, { sha256: next.sha256 }))));
    expect(version).toMatchObject({
      sha256: next.sha256,
      source: "api",
      bytes: next.onnx.length,
      uploaded_at: "2026-11-22T17:00:00.000Z",
      uploaded_by: "operator",
      features: ["requests", "failed_share", "rare_requests"],
    });
    expect(await forest()).toMatchObject({ current: own.sha256, shadow: null });

    const shadowed = v.parse(knownModel, await okay(await point("shadow", { sha256: next.sha256 })));
    expect(shadowed).toMatchObject({ current: own.sha256, shadow: next.sha256 });
    const { inForce, settled } = isolate();
    await inForce.begin();
    await settled();
    expect(await inForce.of("isolation_forest")).toMatchObject({ shadow: { sha256: next.sha256 } });

    const promoted = v.parse(knownModel, await okay(await point("promote", { sha256: next.sha256 })));
    expect(promoted).toMatchObject({ current: next.sha256, previous: own.sha256, shadow: null });
    const back = v.parse(knownModel, await okay(await point("rollback")));
    expect(back).toMatchObject({ current: own.sha256, previous: next.sha256, shadow: null });
    expect((await get()).headers.get("ETag")).toBe('"3"');

    const card = `/v1/models/isolation_forest/versions/${next.sha256}`;
    expect(v.parse(modelVersionWithCard, await okay(await get(card)))).toEqual({ ...version, card: "# next\n" });
    const builtIn = await okay(await get(`/v1/models/isolation_forest/versions/${own.sha256}`));
    expect(builtIn).toMatchObject({ source: "built_in", card: own.card });
    expect((await get("/v1/models/isolation_forest/versions/unknown")).status).toBe(404);
    expect((await get(`/v1/models/nothing/versions/${own.sha256}`)).status).toBe(404);
  });

  it("takes the same version again, and none of the same file with other parts", async () => {
    const { upload, forest } = deployment();
    const next = another("same");
    const first = await okay(await upload(formOf(next)));
    clock.now += 1000;
    expect(await okay(await upload(formOf(next)))).toEqual(first);
    const other = await upload(formOf(next, { card: "# other" }));
    expect([other.status, await problem(other)]).toMatchObject([409, { type: "/problems/conflict" }]);
    expect(await okay(await upload(formOf(own)))).toMatchObject({ source: "built_in" });
    expect((await forest()).versions.map(({ sha256 }) => sha256)).toEqual([own.sha256, next.sha256]);
  });

  it("tells tenants of versions, and only the operator what was seen and who uploaded", async () => {
    const { upload, forest, registry } = deployment();
    await okay(await upload(formOf(another("seen"))));
    await registry().observe({
      drift: [
        {
          day: "2026-11-22",
          model: "isolation_forest",
          sha256: own.sha256,
          rows: 400,
          score: [200, 200],
          features: {},
        },
      ],
      agreement: [],
    });
    expect(await forest()).toMatchObject({
      drift: [
        { day: null, rows: 400 },
        { day: "2026-11-22", rows: 400 },
      ],
      agreement: [],
    });
    const told = await forest(auth("viewer"));
    expect(told).toMatchObject({ drift: null, agreement: null });
    expect(told.versions.map(({ uploaded_by }) => uploaded_by)).toEqual([null, null]);
  });
});

describe("a version is refused, and the one in force stays,", () => {
  const { upload, forest } = deployment();
  const parts = own;
  const refused: [string, string, FormData][] = [
    ["that is no ONNX file", "not_onnx", formOf(parts, { model: new Blob(["not a model"]) })],
    [
      "of a newer opset",
      "opset",
      formOf(withBytes(own, writeOnnx({ ...forestModel(), opsets: { "": 25, "ai.onnx.ml": 3 } }))),
    ],
    ["with other operators", "operators", formOf(withBytes(own, writeOnnx(withOperator("Sin"))))],
    ["with other inputs", "inputs", formOf(withBytes(own, writeOnnx(withInput("rows"))))],
    ["that is another than was meant", "hash_mismatch", formOf(parts, { sha256: "0".repeat(64) })],
    [
      "whose features are unknown",
      "features",
      formOf(parts, { features: JSON.stringify({ ...own.features, window_s: 60 }) }),
    ],
    [
      "whose calibration is thin",
      "calibration",
      formOf(parts, { calibration: JSON.stringify({ ...own.calibration, windows: 3 }) }),
    ],
    [
      "whose golden rows score otherwise",
      "golden_mismatch",
      formOf(parts, {
        golden: JSON.stringify({ ...own.golden, scores: own.golden.scores.map((score) => score + 1e-4) }),
      }),
    ],
    ["that scores NaN", "not_finite", formOf(withBytes(own, writeOnnx(withNaN())))],
  ];

  it.each(refused)("%s: %s", async (_, why, form) => {
    form.set("model", new Blob([await new Response(form.get("model")).arrayBuffer(), docString()]));
    const response = await upload(form);
    expect([response.status, await problem(response)]).toMatchObject([422, { type: "/problems/model-refused", why }]);
    expect(await forest()).toMatchObject({ current: own.sha256, versions: [{ sha256: own.sha256 }] });
  });

  it("too large", async () => {
    const response = await upload(formOf(own, { model: new Blob([new Uint8Array(modelBytesMax + 1)]) }));
    const limit = { name: "model", value: modelBytesMax, unit: "bytes" };
    expect([response.status, await problem(response)]).toMatchObject([413, { limit }]);
    const larger = await upload(formOf(own, { model: new Blob([new Uint8Array(2 * modelBytesMax)]) }));
    expect([larger.status, await problem(larger)]).toMatchObject([413, { limit: { name: "raw" } }]);
  });

  const malformed: [string, object, FormData][] = [
    ["without a part", { pointer: "/golden", detail: "must be given" }, formOf(own, { golden: null })],
    ["with a part too many", { pointer: "/weights", detail: "there is no such part" }, formOf(own, { weights: "1" })],
    [
      "of an unknown name",
      { pointer: "/name", detail: "must be one of isolation_forest, lstm_autoencoder" },
      formOf(own, { name: "forest" }),
    ],
    ["whose JSON is none", { pointer: "/features", detail: "is not JSON" }, formOf(own, { features: "{" })],
    [
      "whose JSON is of another form",
      { pointer: "/calibration/scores/1" },
      formOf(own, { calibration: JSON.stringify({ ...own.calibration, scores: [1, "2"] }) }),
    ],
  ];

  it.each(malformed)("%s", async (_, error, form) => {
    const response = await upload(form);
    expect([response.status, await problem(response)]).toMatchObject([400, { errors: [error] }]);
  });

  it("in anything but a form", async () => {
    const { app } = deployment();
    const json = await app.request("/v1/models", {
      method: "POST",
      body: "{}",
      headers: { ...auth("operator"), "Content-Type": "application/json" },
    });
    expect([json.status, await problem(json)]).toMatchObject([415, { known: ["multipart/form-data"] }]);
    const torn = await app.request("/v1/models", {
      method: "POST",
      body: "--x",
      headers: { ...auth("operator"), "Content-Type": "multipart/form-data; boundary=x" },
    });
    expect([torn.status, await problem(torn)]).toMatchObject([400, { type: "/problems/corrupt-body" }]);
  });
});

/** So that each is another file. */
function docString(): Uint8Array<ArrayBuffer> {
  return new Uint8Array([0x32, 1, 0x61]);
}

function withOperator(type: string) {
  const model = forestModel();
  const [ensemble, ...rest] = model.nodes;
  return {
    ...model,
    nodes: [{ ...ensemble, outputs: ["raw"] }, { type, inputs: ["raw"], outputs: ["depth"] }, ...rest],
  };
}

function withInput(name: string) {
  const model = forestModel();
  const [ensemble, ...rest] = model.nodes;
  return { ...model, nodes: [{ ...ensemble, inputs: [name] }, ...rest], inputs: [{ ...model.inputs[0], name }] };
}

/** (−2) to the power of a fraction. */
function withNaN() {
  const model = forestModel();
  const constants = model.constants ?? [];
  return {
    ...model,
    constants: constants.map((constant) => (constant.name === "two" ? { ...constant, floats: [-2] } : constant)),
  };
}

describe("a change of what is in force", () => {
  it("names the revision that it is based on, and one of two that name the same wins", async () => {
    const { upload, point, app } = deployment();
    const versions = [another("one"), another("two"), another("three")];
    for (const pkg of versions) await okay(await upload(formOf(pkg)));
    const statuses = await Promise.all(
      versions.map(async ({ sha256 }) => (await point("promote", { sha256 }, '"0"')).status),
    );
    expect(statuses.toSorted()).toEqual([200, 412, 412]);
    const stale = await point("rollback", undefined, '"0"');
    expect([stale.status, await problem(stale)]).toMatchObject([412, { etag: '"1"' }]);
    const unsure = await app.request("/v1/models/isolation_forest/rollback", {
      method: "POST",
      headers: auth("operator"),
    });
    expect(unsure.status).toBe(428);
  });

  it("is refused where there is nothing to change to", async () => {
    const { point, upload, registry } = deployment();
    expect((await point("rollback")).status).toBe(409);
    expect((await point("promote", { sha256: "0".repeat(64) })).status).toBe(404);
    expect((await point("shadow", { sha256: own.sha256 })).status).toBe(409);
    expect((await point("shadow", { sha256: null })).status).toBe(200);
    expect((await point("promote", { sha256: "no" })).status).toBe(400);
    expect((await point("promote")).status).toBe(400);
    const lost = another("lost");
    await okay(await upload(formOf(lost)));
    const key = `models/${(await registry().version("isolation_forest", lost.sha256))!.packageSha256}`;
    const bytes = await (await env.MODELS.get(key))!.arrayBuffer();
    await env.MODELS.put(key, "something else");
    const response = await point("promote", { sha256: lost.sha256 });
    expect([response.status, await problem(response)]).toMatchObject([409, { type: "/problems/conflict" }]);
    await env.MODELS.put(key, bytes);
    expect(await env.MODEL_CACHE.get(key)).toBeNull();
    await okay(await point("promote", { sha256: lost.sha256 }));
    expect(await env.MODEL_CACHE.get(key, "arrayBuffer")).toEqual(bytes);
  });

  it("is the operator's", async () => {
    const { upload, point } = deployment();
    for (const kid of ["admin", "viewer", "auditor"] as const) {
      expect((await upload(formOf(own), auth(kid))).status).toBe(403);
      for (const change of ["promote", "rollback", "shadow"])
        expect((await point(change, {}, '"0"', auth(kid))).status).toBe(403);
    }
  });

  it("is in force in another isolate within 10 s, with no deploy, and is loaded behind its requests", async () => {
    const { upload, point, isolate } = deployment();
    const other = isolate();
    expect(await current(other)).toBe(own.sha256);
    const next = another("promoted");
    await okay(await upload(formOf(next)));
    await okay(await point("promote", { sha256: next.sha256 }));
    const seen: string[] = [];
    for (let second = 1; second <= 10; second++) {
      clock.now = hourMs + second * 1000;
      seen.push(await current(other));
      await other.settled();
    }
    expect(new Set(seen)).toEqual(new Set([own.sha256, "warming_up", next.sha256]));
    expect(seen.indexOf("warming_up")).toBeLessThanOrEqual(5);
    expect(seen.lastIndexOf("warming_up")).toBe(seen.indexOf("warming_up"));
    expect(seen.at(-1)).toBe(next.sha256);
  });

  it("is in force at once where it was made", async () => {
    const { upload, point, inForce, settled } = deployment();
    const next = another("here");
    await inForce.begin();
    await okay(await upload(formOf(next)));
    await okay(await point("promote", { sha256: next.sha256 }));
    expect(await current({ inForce })).toBe("warming_up");
    await settled();
    expect(await current({ inForce })).toBe(next.sha256);
  });

  it("survives the object's memory", async () => {
    const { upload, point, forest, registry } = deployment();
    const next = another("kept");
    await okay(await upload(formOf(next)));
    await okay(await point("promote", { sha256: next.sha256 }));
    await evictDurableObject(registry());
    expect(await forest()).toMatchObject({ current: next.sha256, previous: own.sha256 });
  });
});

describe("the audit log", () => {
  const rows = async (name: string) =>
    (await auditOf().list("-", { limit: 1000 })).rows.filter(({ detail }) => detail?.includes(name));

  it("has each change once, with its revision", async () => {
    const { upload, point, isolate } = deployment();
    const next = another("audited");
    await okay(await upload(formOf(next)));
    await okay(await point("promote", { sha256: next.sha256 }));
    await okay(await point("rollback"));
    await isolate().versions.recordChanges();
    expect((await rows(next.sha256)).map(({ action, actor, outcome }) => `${action} ${actor} ${outcome}`)).toEqual([
      "models.upload operator success",
      "models.promote operator success",
      "models.rollback operator success",
    ]);
  });

  it("gets what it could not be told at its time before anything else changes", async () => {
    const { isolate, point, registry } = deployment();
    let isDown = false;
    const real = auditOf();
    const audit: Pick<typeof real, "withChange"> = {
      withChange: (...of) => (isDown ? Promise.reject(new Error("D1 is down")) : real.withChange(...of)),
    };
    const next = another("late");
    const { versions, events } = isolate({ audit });
    const by = { principal: { kid: "operator" } as never, requestId: "r1" };
    await versions.upload(by, next);
    isDown = true;
    await expect(
      versions.point(by, "isolation_forest", 0, { to: "promote", version: next.sha256 }),
    ).resolves.toMatchObject({ revision: 1 });
    expect(events.at(-1)).toMatchObject({ level: "error", message: "change of a model not yet recorded" });
    await expect(versions.point(by, "isolation_forest", 1, { to: "rollback" })).rejects.toThrow("D1 is down");
    expect((await registry().inForce()).revision).toBe(1);
    isDown = false;
    await okay(await point("rollback"));
    expect((await rows(next.sha256)).map(({ action }) => action)).toEqual([
      "models.upload",
      "models.promote",
      "models.rollback",
    ]);
  });

  it("has a change once whose answer got lost", async () => {
    const { isolate, registry } = deployment();
    const next = another("twice");
    let isLost = true;
    const losing = () => {
      const stub = registry();
      return new Proxy(stub, {
        get:
          (_, method) =>
          async (...of: unknown[]) => {
            const answer: unknown = await (stub as unknown as Record<string, (...of: unknown[]) => unknown>)[
              method as string
            ](...of);
            if (method === "point" && isLost) {
              isLost = false;
              throw Object.assign(new Error("connection lost"), { retryable: true });
            }
            return answer;
          },
      });
    };
    const { versions } = isolate({ registry: losing });
    const by = { principal: { kid: "operator" } as never, requestId: "r2" };
    await versions.upload(by, next);
    const pointed = await versions.point(by, "isolation_forest", 0, { to: "promote", version: next.sha256 });
    expect([isLost, pointed]).toMatchObject([false, { revision: 1 }]);
    expect((await rows(next.sha256)).map(({ action }) => action)).toEqual(["models.upload", "models.promote"]);
  });
});

describe("the registry's object", () => {
  it("remembers 100 versions, and those that play a part however old they are", async () => {
    const { registry, upload, point, forest } = deployment();
    const first = another("first");
    await okay(await upload(formOf(first)));
    await okay(await point("promote", { sha256: first.sha256 }));
    const stub = registry();
    const stored = (await stub.version("isolation_forest", first.sha256))!;
    const by = { kid: "k", requestId: "r", nowMs: 0 };
    for (let i = 0; i < 105; i++) await stub.add({ ...stored, sha256: i.toString(16).padStart(64, "0") }, "", by);
    const { versions } = await forest();
    // The one that ships with the Worker is not the object's.
    expect(versions.length).toBe(101);
    expect(versions.map(({ sha256 }) => sha256)).toContain(first.sha256);
    expect(versions[1].sha256.endsWith("68")).toBe(true);
  });

  it("adds up what isolates saw, by day and version, for 31 days", async () => {
    const { registry, forest } = deployment();
    const counts = { rows: 200, score: [100, 100], features: { requests: [200, 0] } };
    const agreed = { rows: 10, both: 1, neither: 7, only_current: 1, only_shadow: 1, p_difference: 0.25 };
    const of = { model: "isolation_forest", day: "2026-11-22" } as const;
    const pair = { current: own.sha256, shadow: "5".repeat(64) };
    for (let i = 0; i < 2; i++)
      await registry().observe({
        drift: [{ ...of, sha256: own.sha256, ...counts }],
        agreement: [{ ...of, ...pair, ...agreed }],
      });
    const { drift, agreement } = await forest();
    expect(drift).toMatchObject([
      { day: null, rows: 400, level: "shifted", score: 0 },
      { day: "2026-11-22", sha256: own.sha256, rows: 400, level: "shifted", score: 0 },
    ]);
    expect(agreement).toEqual([
      {
        day: "2026-11-22",
        ...pair,
        rows: 20,
        both: 2,
        neither: 14,
        only_current: 2,
        only_shadow: 2,
        mean_p_difference: 0.025,
      },
    ]);

    await registry().observe({ drift: [{ ...of, day: "2026-12-22", sha256: own.sha256, ...counts }], agreement: [] });
    expect((await registry().observed()).drift.map(({ day }) => day)).toEqual(["2026-12-22", "2026-11-22"]);
    await registry().observe({ drift: [{ ...of, day: "2026-12-23", sha256: own.sha256, ...counts }], agreement: [] });
    const { drift: left, agreement: none } = await registry().observed();
    expect([left.map(({ day }) => day), none]).toEqual([["2026-12-23", "2026-12-22"], []]);
  });

  it("counts eight versions of a model on a day", async () => {
    const { registry } = deployment();
    const counts = { rows: 1, score: [1, 0], features: {} };
    for (let i = 0; i < 10; i++)
      await registry().observe({
        drift: [{ day: "2026-11-22", model: "isolation_forest", sha256: `${i}`, ...counts }],
        agreement: [],
      });
    expect((await registry().observed()).drift.length).toBe(8);
  });

  it("is told by an isolate what it saw", async () => {
    const { inForce, registry, settled } = deployment();
    await inForce.begin();
    const vector = new Uint8Array(24);
    const inputs = [{ vectors: [vector], reason: "sample", isClosed: true }] as const;
    const opinions = [{ model: "isolation_forest", version: "", score: 0.7, p_value: 0.5, contributions: [] }] as const;
    inForce.observe("isolation_forest", { current: { sha256: own.sha256, inputs, opinions } });
    inForce.observe("isolation_forest", { current: { sha256: "unknown", inputs, opinions } });
    await settled();
    expect((await registry().observed()).drift).toMatchObject([{ day: "2026-11-22", rows: 1, score: [0, 1] }]);
  });
});

describe("cron", () => {
  it("puts what is in force into KV once more, and records what is left", async () => {
    const registry = () => env.MODEL_REGISTRY.get(env.MODEL_REGISTRY.idFromName("models"));
    const models = modelsOf();
    const [next, beside] = [another("scheduled"), another("scheduled beside")];
    const by = { principal: { kid: "operator" } as never, requestId: "r3" };
    for (const pkg of [next, beside]) await models.versions.upload(by, pkg);
    await models.versions.point(by, "isolation_forest", 0, { to: "promote", version: next.sha256 });
    const of = { kid: "operator", requestId: "r4", nowMs: 0 };
    await registry().point("isolation_forest", 1, { to: "shadow", version: beside.sha256 }, of);
    const { current: ref, shadow } = (await registry().inForce()).models.isolation_forest;
    const keys = [ref, shadow].map((one) => `models/${typeof one === "object" && one ? one.packageSha256 : ""}`);
    // The first time, this isolate begins, and loads what is in force.
    for (let time = 0; time < 2; time++) {
      for (const key of keys) await env.MODEL_CACHE.delete(key);
      await worker.scheduled(createScheduledController(), env);
      for (const key of keys) expect(await env.MODEL_CACHE.get(key)).not.toBeNull();
    }
    expect(await registry().unrecorded()).toEqual([]);
    const { rows } = await auditOf().list("-", { action: "models.shadow", limit: 10 });
    const details = rows.map(({ detail }) => JSON.parse(detail));
    expect(details.at(-1)).toMatchObject({ shadow: beside.sha256, revision: 2 });
  });
});

describe("a sequence model", () => {
  it("is taken like the forest", async () => {
    const { upload } = deployment();
    const lstm = tinySequence();
    const onnx = new Uint8Array([...lstm.onnx, 0x32, 1, 0x61]);
    expect(await okay(await upload(formOf(withBytes(lstm, onnx))))).toMatchObject({ windows: 32, source: "api" });
  });
});
