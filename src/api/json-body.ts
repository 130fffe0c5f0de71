import type { Context } from "hono";
import { BodyError, sentBlocks, type BodyFailure } from "../ingest/body.ts";
import type { ApiEnv } from "./deps.ts";
import type { Failure } from "./problem.ts";

/** A configuration that chooses every threshold there is takes 4 KiB; a tenant with 256 networks, 12. */
export const jsonBytesMax = 16 * 1024;
/** Nothing that is taken has more than four; whoever reads it may call itself for each. */
const depthMax = 16;

/** The JSON text of a body that is short, shallow, in time and, where it was signed, as signed. Not yet parsed. */
export async function jsonText(
  c: Context<ApiEnv>,
  name: "raw" | "configuration" = "raw",
): Promise<{ text: string } | Failure> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    const terms = { sha256: c.get("security").bodySha256, bytesMax: jsonBytesMax };
    const { body } = c.req.raw;
    const length = Number(c.req.header("Content-Length") ?? 0);
    if (body)
      for await (const block of sentBlocks(body, length, terms)) text += decoder.decode(block, { stream: true });
    text += decoder.decode();
  } catch (error) {
    if (error instanceof BodyError) return named(error.failure, name);
    throw error;
  }
  if (isDeeper(text, depthMax))
    return { reason: "limit_exceeded", limit: { name: "depth", value: depthMax, unit: "levels" } };
  return { text };
}

function named(failure: BodyFailure, name: "raw" | "configuration"): Failure {
  if (failure.reason !== "limit_exceeded") return failure;
  return { reason: "limit_exceeded", limit: { name, value: jsonBytesMax, unit: "bytes" } };
}

/** Whether brackets outside of strings nest deeper, in a text that need not be JSON. */
function isDeeper(text: string, levels: number): boolean {
  let [depth, isString] = [0, false];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (isString) {
      if (char === "\\") i++;
      else if (char === '"') isString = false;
    } else if (char === '"') isString = true;
    else if (char === "{" || char === "[") {
      if (++depth > levels) return true;
    } else if (char === "}" || char === "]") depth--;
  }
  return false;
}
