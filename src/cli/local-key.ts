import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { newKey, newMasterKey } from "./keys.ts";

export const projectRoot = resolve(import.meta.dirname, "../..");

/** Settings of the local Worker: a file that wrangler reads and git ignores. */
export const settingsFile = ".dev.vars";
const settingsPath = join(projectRoot, settingsFile);

/** The clear key stands in a comment, so that the Worker itself knows its hash only. */
const keyComment = /^# WEIR_KEY=(\S+)$/m;

/** The key that `npm start` made. */
export function localKey(): string | undefined {
  return existsSync(settingsPath) ? keyComment.exec(readFileSync(settingsPath, "utf8"))?.[1] : undefined;
}

/** Makes the settings unless they are there; answers whether it did. */
export function makeLocalSettings(): boolean {
  if (existsSync(settingsPath)) return false;
  const { bearer, entry } = newKey("local");
  const lines = [
    "# Local settings, made by npm start. Not for anyone else: delete the file to get new ones.",
    "# The key for weir send, weir anomalies and the Authorization header:",
    `# WEIR_KEY=${bearer}`,
    `API_KEYS='${JSON.stringify([entry])}'`,
    `MASTER_KEY='${newMasterKey()}'`,
    "",
  ];
  writeFileSync(settingsPath, lines.join("\n"), { mode: 0o600 });
  return true;
}
