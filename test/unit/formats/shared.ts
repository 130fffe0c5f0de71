import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Other people's captures and fixtures, which are not part of the project. */
const shared = process.env["WEIR_SHARED"] ?? resolve(root, "../shared");
export const hasShared = existsSync(join(shared, "data"));
export const missing = hasShared ? "" : ` (skipped: no ${join("..", "shared", "data")}; set WEIR_SHARED)`;

export function sharedBytes(...path: string[]): Uint8Array {
  const file = join(shared, "data", ...path);
  const bytes = readFileSync(file);
  return new Uint8Array(file.endsWith(".gz") ? gunzipSync(bytes) : bytes);
}

export function sharedText(...path: string[]): string {
  return new TextDecoder().decode(sharedBytes(...path));
}

export function sharedFiles(...path: string[]): string[] {
  const folder = join(shared, "data", ...path);
  if (!hasShared) return [];
  return readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
}
