import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions, unstable_readConfig } from "wrangler";
import { Failure } from "./failure.ts";
import { projectRoot } from "./local-key.ts";

/** Nothing here asks the network for anything. */
export const offline = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  X_LOCAL_OBSERVABILITY: "false",
};

export interface Workerd {
  url: string;
  miniflare: Miniflare;
  /** Ends it, whatever state it is in, and removes what was made for it. */
  dispose: () => Promise<void>;
}

export interface WorkerdOptions {
  /** 0, which is the default: any free one. */
  port?: number;
  /** A folder of state that outlives it, so that another one can go on there; by default the state vanishes with it. */
  state?: string | undefined;
  /** What `bundle` made, so that a restart does not wait for it; by default it is made anew. */
  script?: Script | undefined;
}

/**
 * Builds the Worker of a wrangler.toml as a deployment would, and runs it in `workerd`, with a state of its own.
 * `variables` are all that it gets: neither `.dev.vars` nor the environment add to them.
 */
export async function startWorkerd(
  config: string,
  variables: { [name: string]: string },
  { port = 0, state, script }: WorkerdOptions = {},
): Promise<Workerd> {
  Object.assign(process.env, offline);
  const folder = mkdtempSync(join(tmpdir(), "weir-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  // Miniflare ends the process on Ctrl-C before anyone can dispose of anything.
  process.once("exit", removeFolder);
  let miniflare: Miniflare | undefined;
  const dispose = async () => {
    if (miniflare) await within(disposeMsMax, miniflare.dispose());
    process.off("exit", removeFolder);
    removeFolder();
  };
  try {
    // Wrangler reads the variables that stand beside the configuration: beside this one there are none.
    const userConfigPath = join(folder, "wrangler.toml");
    const settings = { ...unstable_readConfig({ config }), userConfigPath };
    const worker = unstable_getMiniflareWorkerOptions(settings).workerOptions;
    miniflare = new Miniflare(
      convertV4MiniflareOptions({
        ...worker,
        name: "worker",
        ...(script ?? (await bundle(config, join(folder, "worker")))),
        bindings: variables,
        // Requests go to the Worker itself, not through Miniflare's entry, which costs 1 ms each.
        unsafeDirectSockets: [{ host: "127.0.0.1", port }],
        host: "127.0.0.1",
        port: 0,
        cf: false,
        telemetry: { enabled: false },
        log: new Log(LogLevel.ERROR),
        resourcePersistencePath: state ?? join(folder, "state"),
      }),
    );
    await miniflare.ready;
    return { url: (await miniflare.unsafeGetDirectURL()).origin, miniflare, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** How long ending may take: of a `workerd` that was killed, not everything can be ended in order. */
const disposeMsMax = 5000;

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/** A built Worker: its modules, the entry first. */
export interface Script {
  modulesRoot: string;
  modules: { type: "ESModule" | "CompiledWasm" | "Data" | "Text"; path: string }[];
}

/** Builds the Worker of a wrangler.toml into a folder, which takes seconds; the script lives as long as that. */
export async function bundle(config: string, modulesRoot: string): Promise<Script> {
  const wrangler = join(projectRoot, "node_modules/wrangler/bin/wrangler.js");
  const args = [wrangler, "deploy", "--dry-run", "--config", config, "--outdir", modulesRoot];
  try {
    await promisify(execFile)(process.execPath, args, { cwd: projectRoot, env: { ...process.env, ...offline } });
  } catch (error) {
    throw new Failure(`The Worker does not build: ${(error as { stderr?: string }).stderr?.trim() || String(error)}`);
  }
  const files = readdirSync(modulesRoot, { recursive: true, encoding: "utf8" });
  const modules = files.flatMap((file) => moduleOf(join(modulesRoot, file)));
  // Miniflare takes the first module for the entry.
  return {
    modulesRoot,
    modules: modules.toSorted((a, b) => Number(b.type === "ESModule") - Number(a.type === "ESModule")),
  };
}

function moduleOf(path: string): Script["modules"] {
  if (/\.m?js$/.test(path)) return [{ type: "ESModule", path }];
  if (path.endsWith(".wasm")) return [{ type: "CompiledWasm", path }];
  if (/\.(onnx|bin)$/.test(path)) return [{ type: "Data", path }];
  // What wrangler writes beside them, the folder's README, belongs to nobody.
  if (path.endsWith("-card.md")) return [{ type: "Text", path }];
  return [];
}
