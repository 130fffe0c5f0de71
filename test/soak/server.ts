import { readFileSync } from "node:fs";
import { startLocalWorker, newSecrets, type LocalSecrets, type LocalWorker } from "../../src/cli/local-worker.ts";
import type { Script } from "../../src/cli/workerd.ts";
import { workerdPids } from "../bench/cpu.ts";

export interface ServerOptions {
  /** A folder that is there. */
  state: string;
  script: Script;
  secrets: LocalSecrets;
  shards: number;
}

const tenant = "soak";

export function soakSecrets(): LocalSecrets {
  return newSecrets([tenant]);
}

/** A Weir that can be killed and started again on what it had written down. */
export class Server {
  /** Where it is, or was until it was killed. */
  url = "";
  /** Of the running `workerd`, where the system tells. */
  pid: number | undefined;
  readonly key: string;
  readonly #options: ServerOptions;
  #worker: LocalWorker | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.key = options.secrets.keys[0].bearer;
  }

  async start(): Promise<void> {
    const { shards, ...options } = this.#options;
    const before = workerdPids();
    this.#worker = await startLocalWorker({ ...options, tenants: { [tenant]: { shards } } });
    this.pid = workerdPids().find((pid) => !before.includes(pid));
    this.url = this.#worker.url;
  }

  /** SIGKILL, which nobody can see coming: whatever was not written down is gone. */
  async kill(): Promise<void> {
    if (this.pid !== undefined) process.kill(this.pid, "SIGKILL");
    // Within the same turn, or Miniflare would start it again by itself. Where there is no pid, this is what kills it.
    await this.stop();
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.pid = undefined;
    await worker?.dispose();
  }
}

/** Resident memory of a process, in MB; undefined where /proc does not tell. */
export function rssMb(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return kib === undefined ? undefined : Number(kib) / 1024;
  } catch {
    return undefined;
  }
}
