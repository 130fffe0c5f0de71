import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startLocalWorker } from "../../src/cli/local-worker.ts";
import { systemClock } from "../../src/config.ts";
import { ModelInferenceError } from "../../src/inference/model.ts";
import { addressFault, RemoteModel, type RemoteParts } from "../../src/inference/remote.ts";
import { scoreRows } from "../../src/inference/rows.ts";
import { candidates, forest } from "../support/inference-parts.ts";
import { send, startInferenceServer, type InferenceServer } from "../support/inference-server.ts";
import { builtInModels } from "../../src/cli/built-in-models.ts";
import { runTinyForest } from "../support/tiny-models.ts";
import { openSession } from "../../wasm/onnx-runtime-node.ts";

const builtIn = builtInModels().get("isolation_forest")!;
let server: InferenceServer;
beforeAll(async () => {
  server = await startInferenceServer("isolation_forest", runTinyForest);
});
afterEach(() => {
  server.instead = undefined;
  server.asked.length = 0;
});
afterAll(() => server.close());

/** Waits are long, since machines are slow, but where nothing comes. */
function remote(more: Partial<RemoteParts> = {}): RemoteModel {
  const clock = { ...systemClock, wait: () => Promise.resolve() };
  const parts = { url: server.url, bearer: null, model: "isolation_forest", fetch, clock, timeoutMs: 60_000 } as const;
  return new RemoteModel({ ...parts, ...more });
}

const score = (to = remote()) => scoreRows(forest, candidates(300), (inputs) => to.run(inputs));

async function failureOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ModelInferenceError);
  return (error as Error).message;
}

describe("a remote model", () => {
  it("says what the same model says here, 256 rows at a time, in the protocol's words", async () => {
    expect(await score(remote({ bearer: "s3cret" }))).toEqual(await scoreRows(forest, candidates(300), runTinyForest));
    expect(server.asked).toHaveLength(2);
    const [{ method, path, authorization, contentType, body }] = server.asked;
    expect([method, path]).toEqual(["POST", "/v2/models/isolation_forest/infer"]);
    expect([authorization, contentType]).toEqual(["Bearer s3cret", "application/json"]);
    const { inputs } = body as { inputs: { data: number[] }[] };
    expect(inputs).toMatchObject([{ name: "features", shape: [256, 3], datatype: "FP32" }]);
    expect(inputs[0].data).toHaveLength(768);
  });

  it("shows no key that it was not given", async () => {
    await remote().checkReady();
    expect(server.asked.map(({ method, path, authorization }) => [method, path, authorization])).toEqual([
      ["GET", "/v2/health/ready", undefined],
      ["GET", "/v2/models/isolation_forest/ready", undefined],
    ]);
  });

  it("may answer in lists of lists, and in doubles", async () => {
    server.instead = async (asked, response) => {
      const { inputs } = asked.body as { inputs: { shape: number[]; data: number[] }[] };
      const [{ shape, data }] = inputs;
      const outputs = await runTinyForest({ features: { dims: shape, data: Float32Array.from(data) } });
      const rows = Array.from(outputs["score"].data, (value) => [value]);
      send(response, 200, { outputs: [{ name: "score", datatype: "FP64", shape: [shape[0], 1], data: rows }] });
    };
    expect(await score()).toEqual(await scoreRows(forest, candidates(300), runTinyForest));
  });

  it.each([
    ["says 500", 500, { error: "out of memory" }, "HTTP 500", 1],
    ["does not know the model", 404, { error: "Model not found" }, "Model not found", 1],
    ["wants another key", 401, "", "HTTP 401", 1],
    ["is busy, twice", 503, "", "HTTP 503", 2],
    ["speaks no JSON", 200, "<html>", "not JSON", 1],
    ["says NaN", 200, '{"outputs":[{"name":"score","datatype":"FP32","shape":[1,1],"data":[NaN]}]}', "not JSON", 1],
    ["has no outputs", 200, { result: 1 }, "outputs", 1],
    [
      "answers other types",
      200,
      { outputs: [{ name: "score", datatype: "INT64", shape: [1], data: [1] }] },
      "datatype",
      1,
    ],
    ["answers words", 200, { outputs: [{ name: "score", datatype: "FP32", shape: [1], data: ["1"] }] }, "no number", 1],
    ["answers too few", 200, { outputs: [{ name: "score", datatype: "FP32", shape: [2, 1], data: [1] }] }, "shape", 1],
    ["answers without end", 200, `"${"x".repeat(1_100_000)}"`, "more than 1048576 bytes", 1],
  ] as const)("that %s has failed", async (_, status, body, words, times) => {
    server.instead = (_asked, response) => send(response, status, body);
    expect(await failureOf(score())).toContain(words);
    expect(server.asked).toHaveLength(times);
  });

  it("tells little of what a server says, and in plain characters", async () => {
    server.instead = (_asked, response) => send(response, 500, `\u001b[31m${"x".repeat(10_000)}`);
    const message = await failureOf(score());
    expect(message.length).toBeLessThan(300);
    expect(message).toMatch(/^[\x20-\x7e]*$/);
  });

  it("is asked once more where it was busy", async () => {
    let left = 1;
    server.instead = (_asked, response) => {
      if (left-- === 1) server.instead = undefined;
      send(response, 503, "");
    };
    expect(await score()).toHaveLength(300);
    expect(server.asked).toHaveLength(3);
  });

  it("is not followed elsewhere", async () => {
    const other = await startInferenceServer("isolation_forest", runTinyForest);
    server.instead = ({ path }, response) => response.writeHead(307, { Location: other.url + path }).end();
    expect(await failureOf(score(remote({ bearer: "s3cret" })))).toContain("HTTP 307");
    expect(other.asked).toEqual([]);
    await other.close();
  });

  it("that does not answer is left, and its request ended", async () => {
    let ended: () => void;
    const isEnded = new Promise<void>((resolve) => (ended = resolve));
    server.instead = (_asked, response) => void response.on("close", () => ended());
    expect(await failureOf(score(remote({ timeoutMs: 50 })))).toContain("no answer within 50 ms");
    await isEnded;
  });

  it("that is not there has failed", async () => {
    const gone = await startInferenceServer("isolation_forest", runTinyForest);
    await gone.close();
    expect(await failureOf(score(remote({ url: gone.url })))).toContain("remote: v2/models/isolation_forest/infer");
  });
});

describe("the address of a remote model", () => {
  it.each([
    "https://a.example",
    "https://a.example:8443/base",
    "http://127.0.0.1:8080",
    "http://[::1]:1",
    "http://localhost",
  ])("may be %s", (url) => expect(addressFault(url)).toBeUndefined());
  it.each([
    "a.example",
    "http://a.example",
    "http://127.0.0.1.a.example",
    "http://localhost.a.example",
    "ftp://a.example",
    "https://me@a.example",
    "https://a.example/?q=1",
    "https://a.example/#a",
    "file:///etc/passwd",
    "http://10.0.0.1",
    "",
  ])("may not be %j", (url) => expect(addressFault(url)).toEqual(expect.any(String)));
});

describe("Weir, as it is built", () => {
  it("registers a server that has the built-in forest, and one that has another is unhealthy", async () => {
    const weir = await startLocalWorker({ tenants: { acme: {} } });
    onTestFinished(() => weir.dispose(), 60_000);
    const { run } = await openSession(builtIn.onnx);
    const right = await startInferenceServer("isolation_forest", run);
    const ask = async (method: string, path = "", body?: object) => {
      const headers = { Authorization: `Bearer ${weir.keys["-"]}`, "Content-Type": "application/json" };
      const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
      const response = await fetch(`${weir.url}/v1/models/instances${path}`, init);
      expect(response.status).toBe(200);
      return (await response.json()) as object;
    };
    const wish = { model: "isolation_forest", kind: "remote", weight: 2 };
    expect(await ask("POST", "", { ...wish, id: "right", url: right.url, bearer: "s3cret" })).toMatchObject({
      health: "healthy",
      error: null,
      verified: builtIn.sha256,
      breaker: { name: "remote/right", state: "closed" },
    });
    expect(right.asked.map(({ authorization }) => authorization)).toEqual([0, 1, 2].map(() => "Bearer s3cret"));
    expect(await ask("POST", "", { ...wish, id: "wrong", url: server.url })).toMatchObject({ health: "unhealthy" });
    expect(await ask("POST", "", { ...wish, id: "aside", kind: "runner" })).toMatchObject({
      health: "healthy",
      load: 0,
    });
    const { instances } = (await ask("GET")) as { instances: { id: string }[] };
    expect(instances.map(({ id }) => id)).toEqual([
      "isolation_forest-inline",
      "lstm_autoencoder-inline",
      "right",
      "wrong",
      "aside",
    ]);
    await right.close();
  });
});
