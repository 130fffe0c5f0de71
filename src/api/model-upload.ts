import type { Context } from "hono";
import * as v from "valibot";
import { sha256Of } from "../inference/model-cache.ts";
import { modelNames, type ModelPackage } from "../inference/model.ts";
import { modelBytesMax } from "../inference/onnx-file.ts";
import { packageFiles } from "../inference/package-files.ts";
import { BodyError, sentBlocks } from "../ingest/body.ts";
import type { ApiEnv } from "./deps.ts";
import type { Failure, ParameterError } from "./problem.ts";

/** What each part may have, in bytes. */
export const partBytesMax = {
  name: 64,
  sha256: 64,
  model: modelBytesMax,
  features: 64 * 1024,
  calibration: 2 * 1024 * 1024,
  golden: 2 * 1024 * 1024,
  card: 64 * 1024,
};
type Part = keyof typeof partBytesMax;
const parts = Object.keys(partBytesMax) as readonly Part[];

/** The parts together, and what stands between them. */
export const uploadBytesMax = Object.values(partBytesMax).reduce((sum, bytes) => sum + bytes) + 16 * 1024;

/** Only described: the parts are checked one by one, each with its name. */
export const uploadSchema = {
  type: "object" as const,
  required: parts.filter((part) => part !== "sha256"),
  properties: {
    name: { type: "string" as const, enum: [...modelNames] },
    sha256: { type: "string" as const, pattern: "^[0-9a-f]{64}$", description: "That the model must have" },
    model: { type: "string" as const, format: "binary", description: "ONNX" },
    features: { type: "string" as const, description: "JSON: what the model takes" },
    calibration: { type: "string" as const, description: "JSON: what benign windows score" },
    golden: { type: "string" as const, description: "JSON: rows, and what the training framework makes of them" },
    card: { type: "string" as const, description: "Markdown, for people" },
  },
};

/** A version as it was sent, not yet tried; or what is wrong with its form. */
export async function uploadedPackage(c: Context<ApiEnv>): Promise<{ package: ModelPackage } | Failure> {
  const body = await bodyOf(c);
  if ("reason" in body) return body;
  const given = await partsIn(body.bytes, c.req.header("Content-Type") ?? "");
  if ("reason" in given) return given;
  const errors: ParameterError[] = [];
  const text = (part: Part) => new TextDecoder().decode(given[part]);
  const name = modelNames.find((one) => one === text("name"));
  if (!name) errors.push({ pointer: "/name", detail: `must be one of ${modelNames.join(", ")}` });
  const features = jsonIn("features", packageFiles.features, text("features"), errors);
  const calibration = jsonIn("calibration", packageFiles.calibration, text("calibration"), errors);
  const golden = jsonIn("golden", packageFiles.golden, text("golden"), errors);
  if (!name || !features || !calibration || !golden) return { reason: "invalid_parameters", errors };

  const onnx = given.model;
  const sha256 = sha256Of(onnx);
  const expected = text("sha256").toLowerCase() || sha256;
  if (expected !== sha256) {
    const detail = `the model's SHA-256 is ${sha256}, not ${expected}`;
    return { reason: "model_refused", why: "hash_mismatch", detail };
  }
  return { package: { name, sha256, onnx, features, calibration, golden, card: text("card") } };
}

type Bytes = Uint8Array<ArrayBuffer>;

/** All of the body, if it is short enough, in time and, where it was signed, as signed. */
async function bodyOf(c: Context<ApiEnv>): Promise<{ bytes: Bytes } | Failure> {
  const { body } = c.req.raw;
  const blocks: Uint8Array[] = [];
  const terms = { sha256: c.get("security").bodySha256, bytesMax: uploadBytesMax };
  try {
    const length = Number(c.req.header("Content-Length") ?? 0);
    if (body) for await (const block of sentBlocks(body, length, terms)) blocks.push(block);
  } catch (error) {
    if (error instanceof BodyError) return error.failure;
    throw error;
  }
  const bytes = new Uint8Array(blocks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const block of blocks) {
    bytes.set(block, at);
    at += block.length;
  }
  return { bytes };
}

/** Each part once; only `sha256` may be missing, and is then empty. */
async function partsIn(body: Bytes, type: string): Promise<Record<Part, Bytes> | Failure> {
  let form: FormData;
  try {
    form = await new Response(body, { headers: { "Content-Type": type } }).formData();
  } catch (error) {
    return { reason: "corrupt_body", encoding: "multipart/form-data", detail: (error as Error).message };
  }
  const found = {} as Record<Part, Bytes>;
  const errors: ParameterError[] = [];
  for (const part of parts) {
    const values = form.getAll(part);
    if (values.length > 1) errors.push({ pointer: `/${part}`, detail: "must be given once" });
    if (values.length === 0 && part !== "sha256") errors.push({ pointer: `/${part}`, detail: "must be given" });
    const bytes = await bytesOf(values[0] ?? "");
    const value = partBytesMax[part];
    if (bytes.length > value) return { reason: "limit_exceeded", limit: { name: part, value, unit: "bytes" } };
    found[part] = bytes;
  }
  const strangers = [...form.keys()].filter((key) => !(parts as readonly string[]).includes(key));
  errors.push(...strangers.map((key) => ({ pointer: `/${key}`, detail: "there is no such part" })));
  return errors.length > 0 ? { reason: "invalid_parameters", errors } : found;
}

async function bytesOf(value: string | Blob): Promise<Bytes> {
  const whole = new Response(value);
  return new Uint8Array(await whole.arrayBuffer());
}

function jsonIn<Schema extends v.GenericSchema>(
  part: Part,
  schema: Schema,
  text: string,
  errors: ParameterError[],
): v.InferOutput<Schema> | undefined {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    errors.push({ pointer: `/${part}`, detail: "is not JSON" });
    return undefined;
  }
  const result = v.safeParse(schema, given, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue)?.replaceAll(".", "/");
  errors.push({ pointer: path === undefined ? `/${part}` : `/${part}/${path}`, detail: issue.message });
  return undefined;
}
