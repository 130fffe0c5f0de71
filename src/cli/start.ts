import { spawn } from "node:child_process";
import { join } from "node:path";
import { localKey, makeLocalSettings, projectRoot, settingsFile } from "./local-key.ts";
import { offline } from "./workerd.ts";

/** `npm start`: settings, the local D1's tables, then `wrangler dev`, which rebuilds whenever a file changes. */
const wrangler = join(projectRoot, "node_modules/wrangler/bin/wrangler.js");

function runWrangler(args: string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const child = spawn(process.execPath, [wrangler, ...args], {
    cwd: projectRoot,
    stdio: "inherit",
    env: { ...process.env, ...offline, ...env },
  });
  // Ctrl-C in a terminal reaches the child as well, which ends by itself; a signal to this process alone is passed on.
  const forward = (signal: NodeJS.Signals) => child.exitCode === null && child.kill(signal);
  process.on("SIGINT", forward);
  process.on("SIGTERM", forward);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 0));
  });
}

const isNew = makeLocalSettings();
console.log(`${isNew ? "Made" : "Using"} ${settingsFile}: master key, local API key and operator's key.`);
console.log(`Authorization: Bearer ${localKey() ?? `(see ${settingsFile})`}`);
// With CI set wrangler does not ask before it migrates.
const migrated = await runWrangler(["d1", "migrations", "apply", "DB", "--local"], { CI: "1" });
process.exitCode = migrated === 0 ? await runWrangler(["dev", ...process.argv.slice(2)]) : migrated;
