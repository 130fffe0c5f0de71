import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { platformTenant } from "../security/tenant.ts";
import { newKey, newMasterKey } from "./new-key.ts";

export const projectRoot = resolve(import.meta.dirname, "../..");

/** Settings of the local Worker: a file that wrangler reads and git ignores. */
export const settingsFile = ".dev.vars";
const settingsPath = join(projectRoot, settingsFile);

/** Clear keys stand in comments, so that the Worker itself knows their hashes only. */
const keyComment = /^# WEIR_KEY=(\S+)$/m;
const operatorComment = /^# WEIR_OPERATOR_KEY=(\S+)$/m;

/** The key that `npm start` made. */
export function localKey(): string | undefined {
  return keyIn(keyComment);
}

/** The one that makes and destroys tenants. */
export function localOperatorKey(): string | undefined {
  return keyIn(operatorComment);
}

function keyIn(comment: RegExp): string | undefined {
  return existsSync(settingsPath) ? comment.exec(readFileSync(settingsPath, "utf8"))?.[1] : undefined;
}

/** Makes the settings unless they are there; answers whether it did. */
export function makeLocalSettings(): boolean {
  if (existsSync(settingsPath)) {
    const settings = readFileSync(settingsPath, "utf8");
    const whole = withOperator(settings);
    if (whole !== settings) writeFileSync(settingsPath, whole);
    return false;
  }
  const { bearer, entry } = newKey("local");
  const lines = [
    "# Local settings, made by npm start. Not for anyone else: delete the file to get new ones.",
    "# The key for weir send, weir anomalies and the Authorization header:",
    `# WEIR_KEY=${bearer}`,
    `API_KEYS='${JSON.stringify([entry])}'`,
    `MASTER_KEY='${newMasterKey()}'`,
    "",
  ];
  writeFileSync(settingsPath, withOperator(lines.join("\n")), { mode: 0o600 });
  return true;
}

/** Settings with a key of the operator; as they are, if they have one, or are not as they were made. */
export function withOperator(settings: string): string {
  const list = /^API_KEYS='(\[.*\])'$/m;
  const [line, entries] = list.exec(settings) ?? [];
  if (line === undefined || operatorComment.test(settings)) return settings;
  const { bearer, entry } = newKey(platformTenant);
  const lines = [
    "# The key for weir tenants:",
    `# WEIR_OPERATOR_KEY=${bearer}`,
    `API_KEYS='${JSON.stringify([...(JSON.parse(entries) as object[]), entry])}'`,
  ];
  return settings.replace(list, () => lines.join("\n"));
}
