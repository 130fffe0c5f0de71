import { execFile, spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished, type TestContext } from "vitest";
import { builtInModels } from "../../src/cli/built-in-models.ts";
import { startLocalWorker } from "../../src/cli/local-worker.ts";
import { projectRoot } from "../../src/cli/local-key.ts";
import { failuresMax, recoveryMs } from "../../src/inference/breaker-state.ts";
import { modelNames, type ModelName } from "../../src/inference/model.ts";
import { folders } from "../../src/inference/package-files.ts";
import { scoreRows } from "../../src/inference/rows.ts";
import { candidates, inferenceOf, instance } from "../support/inference-parts.ts";
import { openSession } from "../../wasm/onnx-runtime-node.ts";

/** MLServer and what it needs are 500 MB, from PyPI: it takes minutes. */
const isAsked = process.env["WEIR_TEST_MLSERVER"] === "1";
const notAsked = isAsked ? "" : " (skipped: 500 MB from PyPI; set WEIR_TEST_MLSERVER=1)";
const testMs = 900_000;
/** Some ten thousand files are removed behind it. */
const hookMs = 300_000;
const run = promisify(execFile);

const assets = join(projectRoot, "test/e2e/mlserver");
const builtIn = builtInModels();

/** MLServer in a folder of its own. Rejects where Python, pip or PyPI does not do it. */
async function install(folder: string): Promise<void> {
  await run("python3", ["-m", "venv", join(folder, "venv")]);
  const pip = join(folder, "venv/bin/pip");
  await run(pip, ["install", "--quiet", "--disable-pip-version-check", "-r", join(assets, "requirements.txt")]);
}

/** The models of this checkout as MLServer wants them. */
function layOut(folder: string, ports: readonly number[]): void {
  const [http_port, grpc_port, metrics_port] = ports;
  const settings = { host: "127.0.0.1", http_port, grpc_port, metrics_port, parallel_workers: 0 };
  mkdirSync(join(folder, "models"));
  writeFileSync(join(folder, "models/settings.json"), JSON.stringify(settings));
  for (const name of modelNames) {
    mkdirSync(join(folder, "models", name));
    copyFileSync(join(assets, "onnx_model.py"), join(folder, "models", name, "onnx_model.py"));
    const parameters = { uri: join(projectRoot, "models", folders[name], "model.onnx") };
    const model = { name, implementation: "onnx_model.OnnxModel", parameters };
    writeFileSync(join(folder, "models", name, "model-settings.json"), JSON.stringify(model));
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(
    (server) =>
      new Promise<number>((resolve) => {
        server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
      }),
  );
  const found = await Promise.all(ports);
  for (const server of servers) server.close();
  return found;
}

/** Resolves once it says that it is ready. */
async function start(folder: string, url: string): Promise<ChildProcess> {
  const child = spawn(join(folder, "venv/bin/mlserver"), ["start", join(folder, "models")], {
    stdio: "pipe",
    cwd: folder,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (output += bytes.toString()));
  onTestFinished(() => stop(child), hookMs);
  for (;;) {
    if (child.exitCode !== null) throw new Error(`MLServer ended: ${output}`);
    const ready = await fetch(`${url}/v2/health/ready`).catch(() => undefined);
    await ready?.body?.cancel();
    if (ready?.ok) return child;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** Skips where it cannot be had, and says why. */
async function mlserver(context: TestContext): Promise<{ url: string; restart: () => Promise<ChildProcess> }> {
  const folder = mkdtempSync(join(tmpdir(), "weir-mlserver-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }), hookMs);
  await install(folder).catch(({ message }: Error) => {
    console.warn(`skipped: MLServer does not install: ${message}`);
    context.skip(message);
  });
  const ports = await freePorts(3);
  layOut(folder, ports);
  const url = `http://127.0.0.1:${ports[0]}`;
  return { url, restart: () => start(folder, url) };
}

describe.skipIf(!isAsked)(`MLServer, with the models of this checkout${notAsked}`, () => {
  it(
    "is healthy to Weir, says what ONNX Runtime says here, fails and comes back",
    { timeout: testMs },
    async (context) => {
      const { url, restart } = await mlserver(context);
      const server = await restart();

      // Weir as it is built checks it, golden rows and all.
      const weir = await startLocalWorker({ tenants: { acme: {} } });
      onTestFinished(() => weir.dispose(), hookMs);
      for (const model of modelNames) {
        const headers = { Authorization: `Bearer ${weir.keys["-"]}`, "Content-Type": "application/json" };
        const body = JSON.stringify({ id: `mlserver-${model}`, model, kind: "remote", url });
        const response = await fetch(`${weir.url}/v1/models/instances`, { method: "POST", headers, body });
        const registered = (await response.json()) as object;
        console.log(JSON.stringify(registered));
        expect(registered).toMatchObject({ health: "healthy", verified: builtIn.get(model)!.sha256, error: null });
      }

      // The same opinions as from the runtime in this process.
      const isolates = modelNames.map((model) => isolateOf(model, url));
      for (const { model, score, inForce } of isolates) {
        const scored = await score();
        const { run: runHere } = await openSession(inForce.onnx);
        const here = await scoreRows(inForce, rows, runHere);
        const there = scored.ran ? scored.opinions : [];
        expect(there).toHaveLength(rows.length);
        const off = Math.max(...there.map((opinion, i) => Math.abs(opinion.score - here[i].score)));
        console.log(`${model}: ${there.length} rows by ${scored.ran ? scored.instance : scored.reason}, off by ${off}`);
        expect(off).toBeLessThanOrEqual(1e-5);
      }

      // It dies; the breaker opens; it comes back, and so do its opinions.
      await stop(server);
      const [{ score, settled, clock }] = isolates;
      for (let i = 0; i < failuresMax; i++) expect(await score()).toMatchObject({ ran: false, reason: "failed" });
      await settled();
      expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
      await restart();
      clock.now += recoveryMs;
      expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
      clock.now += 1;
      expect(await score()).toMatchObject({ ran: true, instance: "mlserver" });
    },
  );
});

const rows = candidates(300);

/** An isolate that knows this server and no other instance. */
function isolateOf(model: ModelName, url: string) {
  const inForce = builtIn.get(model)!;
  const list = [instance("mlserver", { model, kind: "remote", url, verified: inForce.sha256 })];
  const isolate = inferenceOf({ list, fetch });
  isolate.inForce.current = inForce;
  return { ...isolate, model, inForce, score: () => isolate.inference.score(model, rows) };
}
