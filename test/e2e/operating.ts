import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from "vitest";
import { startLocalWorker, type LocalWorker } from "../../src/cli/local-worker.ts";
import { run } from "../../src/cli/weir.ts";

/** A real Worker for the tests of a file, and the command line of its operator. */
export interface Operating {
  worker: LocalWorker;
  /** What was printed on stderr since the last command began. */
  errors: string;
  /** What a command line that succeeds prints. */
  weir: (...argv: string[]) => Promise<string>;
}

/** Starts the Worker before the tests of the file, and ends it after them. */
export function operating(tenants: Parameters<typeof startLocalWorker>[0]["tenants"]): Operating {
  let out = "";
  const own: Operating = {
    worker: undefined as unknown as LocalWorker,
    errors: "",
    weir: async (...argv) => {
      out = own.errors = "";
      expect(await run(argv), own.errors).toBe(0);
      return out;
    },
  };
  beforeAll(async () => {
    own.worker = await startLocalWorker({ tenants });
  }, 60_000);
  afterAll(() => own.worker?.dispose());
  beforeEach(() => {
    vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
    vi.spyOn(process.stderr, "write").mockImplementation((text) => ((own.errors += String(text)), true));
    vi.stubEnv("WEIR_URL", own.worker.url);
    vi.stubEnv("WEIR_OPERATOR_KEY", own.worker.keys["-"]);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });
  return own;
}
