import * as v from "valibot";
import type { Clock } from "../config.ts";
import { retryOnce } from "../storage/retry-once.ts";
import { ModelInferenceError, type ModelName, type Tensors } from "./model.ts";
import { within } from "../within.ts";

/** Bytes of an answer: 256 rows of 24 numbers take 150 KB. */
const answerBytesMax = 1024 * 1024;
/** Bytes of an answer that says what went wrong, and characters of it that are told. */
const faultBytesMax = 16 * 1024;
const faultCharsMax = 200;
/** Outputs of an answer: a model has two. */
const outputsMax = 16;
/** Dimensions of a tensor: ours have two. */
const dimsMax = 4;
/** What a server says that has too much to do, or restarts: asked once more. */
const passingStatus = new Set([429, 502, 503, 504]);

export interface RemoteParts {
  /** `https://host/base`; what follows is the protocol's. */
  url: string;
  /** Sent as `Authorization: Bearer`; null: nothing is. */
  bearer: string | null;
  model: ModelName;
  fetch: typeof fetch;
  clock: Clock;
  /** Of a call with its retry, in ms. */
  timeoutMs: number;
}

const output = v.object({
  name: v.string(),
  shape: v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(0))), v.maxLength(dimsMax)),
  datatype: v.picklist(["FP32", "FP64"]),
  data: v.array(v.unknown()),
});
const answer = v.object({ outputs: v.pipe(v.array(output), v.maxLength(outputsMax)) });

/**
 * A model behind a server that speaks the Open Inference Protocol, version 2, over HTTP and JSON: MLServer, Triton, KServe,
 * OpenVINO. Everything that goes wrong is a ModelInferenceError, which never holds what was sent.
 *
 * Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
export class RemoteModel {
  readonly #parts: RemoteParts;

  constructor(parts: RemoteParts) {
    this.#parts = parts;
  }

  async run(inputs: Tensors): Promise<Tensors> {
    const named = Object.entries(inputs).map(([name, { dims, data }]) => {
      return { name, shape: dims, datatype: "FP32", data: Array.from(data) };
    });
    const body = JSON.stringify({ inputs: named });
    const text = await this.#ask(`v2/models/${this.#parts.model}/infer`, { method: "POST", body });
    return tensorsIn(text);
  }

  /** Whether server and model say that they are ready. */
  async checkReady(): Promise<void> {
    await this.#ask("v2/health/ready", {});
    await this.#ask(`v2/models/${this.#parts.model}/ready`, {});
  }

  async #ask(path: string, init: { method?: string; body?: string }): Promise<string> {
    const { clock, timeoutMs } = this.#parts;
    const controller = new AbortController();
    const { signal } = controller;
    try {
      const asking = retryOnce(clock, () => this.#askOnce(path, { ...init, signal }), isPassing);
      return await within(timeoutMs, asking);
    } catch (error) {
      if (error instanceof ModelInferenceError) throw error;
      throw new ModelInferenceError(`remote: ${path}: ${(error as Error).message}`, { cause: error });
    } finally {
      controller.abort();
    }
  }

  async #askOnce(path: string, init: RequestInit & { body?: string }): Promise<string> {
    const { url, bearer, fetch } = this.#parts;
    const headers = {
      Accept: "application/json",
      ...(init.body !== undefined && { "Content-Type": "application/json" }),
      ...(bearer !== null && { Authorization: `Bearer ${bearer}` }),
    };
    // The server that was registered, and none that it names: the key is for nobody else.
    const response = await fetch(`${url}/${path}`, { ...init, headers, redirect: "manual" });
    if (response.ok) return textOf(response, answerBytesMax);
    const said = await textOf(response, faultBytesMax).catch(() => "");
    throw new RemoteFault(response.status, `remote: ${path}: HTTP ${response.status} ${printable(said)}`.trim());
  }
}

class RemoteFault extends ModelInferenceError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Busy, restarting, or not reached at all; but time that is over is over. */
function isPassing(error: unknown): boolean {
  if (error instanceof RemoteFault) return passingStatus.has(error.status);
  return !(error instanceof ModelInferenceError) && (error as Error).name !== "AbortError";
}

/** @throws ModelInferenceError where it is longer than that; the rest is not read. */
async function textOf(response: Response, bytesMax: number): Promise<string> {
  if (!response.body) return "";
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new ModelInferenceError(`remote: the answer has more than ${bytesMax} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, faultCharsMax);
}

function tensorsIn(text: string): Tensors {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    throw new ModelInferenceError("remote: the answer is not JSON");
  }
  const parsed = v.safeParse(answer, given);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new ModelInferenceError(`remote: the answer's ${v.getDotPath(issue) ?? "body"}: ${printable(issue.message)}`);
  }
  return Object.fromEntries(parsed.output.outputs.map((one) => [one.name, tensorOf(one)]));
}

/** Numbers come in one list, or in lists of lists as the shape is. */
function tensorOf({ name, shape, data }: v.InferOutput<typeof output>): Tensors[string] {
  const flat = data.flat(shape.length - 1);
  if (flat.length !== shape.reduce((product, dim) => product * dim, 1))
    throw new ModelInferenceError(`remote: the output ${printable(name)} has not as many numbers as its shape`);
  if (!flat.every((value): value is number => typeof value === "number"))
    throw new ModelInferenceError(`remote: the output ${printable(name)} has something that is no number`);
  return { dims: shape, data: Float32Array.from(flat) };
}

/** Why nobody may register such an address; undefined if somebody may. */
export function addressFault(text: string): string | undefined {
  if (!URL.canParse(text)) return "is not a URL";
  const { protocol, hostname, username, password, search, hash } = new URL(text);
  if (protocol !== "https:" && !(protocol === "http:" && isLoopback(hostname)))
    return "must be https, or http to this machine";
  if (username || password) return "must not hold a name or password: there is bearer";
  if (search || hash || text.endsWith("?") || text.endsWith("#")) return "must not have a query or fragment";
  return undefined;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}
