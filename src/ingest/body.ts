import { createHash } from "node:crypto";
import { createGunzip, createInflate, createInflateRaw, createZstdDecompress } from "node:zlib";

/** As sent. 16 MiB: three times what the largest shipper default sends compressed; fits into memory many times. */
export const rawBytesMax = 16 * 1024 * 1024;
/** Decoded. 64 MiB: 200,000 records of 300 bytes; bounds what a compression bomb can cost. */
export const inflatedBytesMax = 64 * 1024 * 1024;
/** From the first read to the last, in ms: a usual batch (100 KB) arrives in time at 14 kbit/s. */
const bodyMsMax = 60_000;
/** Read and decoded at a time. Smaller blocks cost: at 4 KiB, inflating takes twice as long as in one piece. */
const blockBytes = 256 * 1024;

interface LimitExceeded {
  reason: "limit_exceeded";
  limit: { name: "raw" | "inflated" | "records"; value: number; unit: "bytes" | "records" };
}

export type BodyFailure =
  | LimitExceeded
  | { reason: "corrupt_body"; encoding: string; detail: string }
  | { reason: "body_too_slow" }
  /** It is not the body that was signed. */
  | { reason: "unauthenticated" };

export const encodings = ["identity", "gzip", "deflate", "zstd"] as const;
export type Encoding = (typeof encodings)[number];

/** The encoding that a `Content-Encoding` names; undefined if it is none of ours. */
export function encodingOf(contentEncoding: string | undefined): Encoding | undefined {
  const name = contentEncoding?.trim().toLowerCase() || "identity";
  return name === "x-gzip" ? "gzip" : encodings.find((encoding) => encoding === name);
}

/** What a body must keep to, beside its length. */
export interface BodyTerms {
  /** SHA-256 of the bytes as sent, in hex, where they were signed. */
  sha256?: string | undefined;
  bytesMax?: number | undefined;
  msMax?: number | undefined;
}

/**
 * The decoded body, block by block, never whole in memory. When the iteration ends, either `failure` says why nothing
 * of it may be used, or `digest` is SHA-256 over all of it, in hex.
 */
export class DecodedBody implements AsyncIterable<Uint8Array> {
  failure: BodyFailure | undefined;
  bytes = 0;
  digest = "";
  readonly #raw: ReadableStream<Uint8Array> | null;
  readonly #encoding: Encoding;
  readonly #contentLength: number;
  readonly #terms: BodyTerms;

  constructor(raw: ReadableStream<Uint8Array> | null, encoding: Encoding, contentLength = 0, terms: BodyTerms = {}) {
    this.#raw = raw;
    this.#encoding = encoding;
    this.#contentLength = contentLength;
    this.#terms = terms;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    const hash = createHash("sha256");
    try {
      if (this.#contentLength > rawBytesMax) throw tooLong("raw", rawBytesMax);
      if (this.#raw) {
        const sent = sentBlocks(this.#raw, this.#contentLength, this.#terms);
        for await (const chunk of decoded(sent, this.#encoding)) {
          this.bytes += chunk.length;
          if (this.bytes > inflatedBytesMax) throw tooLong("inflated", inflatedBytesMax);
          hash.update(chunk);
          // A plain array: the platform's Buffer searches for a byte in JavaScript.
          yield new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        }
      }
      this.digest = hash.digest("hex");
    } catch (error) {
      this.failure = failureOf(error, this.#encoding);
    }
  }
}

/** The part of a BYOB reader that we use, with the standard's `min`, which not all type libraries know. */
interface BlockReader {
  read(view: Uint8Array, options: { min: number }): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/**
 * The bytes as sent, in full blocks, whatever the size of the network's reads.
 *
 * @throws BodyError where they are too many, too slow, or not what was signed; what was signed shows at the end.
 */
export async function* sentBlocks(
  raw: ReadableStream<Uint8Array>,
  contentLength: number,
  { sha256, bytesMax = rawBytesMax, msMax = bodyMsMax }: BodyTerms = {},
): AsyncGenerator<Uint8Array, void> {
  const reader: BlockReader = raw.getReader({ mode: "byob" });
  // One more than a body of known length has, so that its only block is also seen to be its last.
  const blockLength = contentLength > 0 ? Math.min(blockBytes, contentLength + 1) : blockBytes;
  const hash = sha256 === undefined ? undefined : createHash("sha256");
  const { late, cancel } = deadline(msMax);
  let bytes = 0;
  try {
    for (let isLast = false; !isLast;) {
      const read = await Promise.race([reader.read(new Uint8Array(blockLength), { min: blockLength }), late]);
      if (!read) throw new BodyError({ reason: "body_too_slow" });
      const { done, value } = read;
      bytes += value?.length ?? 0;
      if (bytes > bytesMax) throw tooLong("raw", bytesMax);
      isLast = done || (value !== undefined && value.length < blockLength);
      if (value) hash?.update(value);
      if (value?.length) yield value;
    }
    if (hash && hash.digest("hex") !== sha256) throw new BodyError({ reason: "unauthenticated" });
  } finally {
    cancel();
    reader.cancel().catch(() => undefined);
  }
}

/** Settles after so many ms, unless that is called off. */
function deadline(msMax: number): { late: Promise<undefined>; cancel: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), msMax);
  });
  return { late, cancel: () => clearTimeout(timer) };
}

type Engine = ReturnType<typeof createGunzip>;

/** An empty body is empty in every encoding. */
async function* decoded(raw: AsyncGenerator<Uint8Array, void>, encoding: Encoding): AsyncGenerator<Uint8Array, void> {
  if (encoding === "identity") return yield* raw;
  const first = await raw.next();
  if (first.done) return;
  const engine = engineFor(encoding, first.value);
  const feeding = feed(engine, first.value, raw);
  for await (const chunk of engine) yield chunk as Uint8Array;
  const offered = await feeding;
  if (offered !== engine.bytesWritten) throw new Error("something follows the end of the compressed data");
}

function engineFor(encoding: Exclude<Encoding, "identity">, head: Uint8Array): Engine {
  const options = { chunkSize: blockBytes };
  switch (encoding) {
    case "gzip":
      return createGunzip(options);
    case "deflate":
      return isZlib(head) ? createInflate(options) : createInflateRaw(options);
    case "zstd":
      return createZstdDecompress(options);
  }
}

/** RFC 1950: compression method 8, and a header that is a multiple of 31. Raw deflate is sent under the same name. */
function isZlib(head: Uint8Array): boolean {
  return (head[0] & 15) === 8 && ((head[0] << 8) | head[1]) % 31 === 0;
}

/**
 * Writes block by block until the engine leaves something unread: it met the end of its data, an error, or nobody
 * reads on. Answers the bytes offered. What goes wrong with the raw body reaches the engine's reader.
 */
async function feed(engine: Engine, first: Uint8Array, rest: AsyncGenerator<Uint8Array, void>): Promise<number> {
  let offered = 0;
  const closed = new Promise((resolve) => engine.once("close", resolve));
  try {
    for (let block: Uint8Array | undefined = first; block; block = (await rest.next()).value ?? undefined) {
      offered += block.length;
      const written = new Promise((resolve) => engine.write(block, resolve));
      await Promise.race([written, closed]);
      if (engine.bytesWritten < offered) return offered;
    }
    engine.end();
  } catch (error) {
    engine.destroy(error as Error);
  } finally {
    await rest.return();
  }
  return offered;
}

export class BodyError extends Error {
  readonly failure: BodyFailure;

  constructor(failure: BodyFailure) {
    super(failure.reason);
    this.failure = failure;
  }
}

function tooLong(name: "raw" | "inflated", value: number): BodyError {
  return new BodyError({ reason: "limit_exceeded", limit: { name, value, unit: "bytes" } });
}

function failureOf(error: unknown, encoding: Encoding): BodyFailure {
  if (error instanceof BodyError) return error.failure;
  return { reason: "corrupt_body", encoding, detail: (error as Error).message };
}
