import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { PassThrough, type Duplex, type Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { Failure } from "./failure.ts";

export interface Input {
  name: string;
  /** The bytes of the log, decompressed. */
  chunks: AsyncIterable<Uint8Array>;
  /** Bytes of the file, 0 where unknown, and how many of them were read so far. */
  bytesTotal: number;
  bytesRead(): number;
}

/** Opens a log, plain, gzip or zstd by its first bytes; `-` is the standard input. */
export async function openInput(path: string): Promise<Input> {
  const isStdin = path === "-";
  const bytesTotal = isStdin ? 0 : (await stat(path)).size;
  const source: Readable = isStdin ? process.stdin : createReadStream(path, { highWaterMark: 256 * 1024 });
  let read = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      read += chunk.length;
      yield chunk;
    }
  }
  const name = isStdin ? "standard input" : path;
  return { name, chunks: inflated(name, counted()), bytesTotal, bytesRead: () => read };
}

async function* inflated(name: string, source: AsyncGenerator<Buffer>): AsyncGenerator<Uint8Array> {
  const head: Buffer[] = [];
  for (let bytes = 0; bytes < 4;) {
    const { value, done } = await source.next();
    if (done) break;
    head.push(value);
    bytes += value.length;
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield* head;
    yield* source;
  }
  const decoder = decoderFor(Buffer.concat(head));
  if (decoder === undefined) {
    yield* all();
    return;
  }
  const out = new PassThrough();
  const done = pipeline(all, decoder, out);
  // Whoever reads `out` meets the error there; this only keeps it from being unhandled.
  done.catch(() => {});
  try {
    yield* out;
    await done;
  } catch (error) {
    throw isOfDecoder(error) ? new Failure(`The compressed data of ${name} is cut short or corrupt.`) : error;
  }
}

function isOfDecoder(error: unknown): boolean {
  return /^(Z|ZSTD)_/.test((error as NodeJS.ErrnoException).code ?? "");
}

function decoderFor(head: Buffer): Duplex | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return createGunzip();
  if (head.length >= 4 && head.readUInt32LE(0) === 0xfd2fb528) return createZstdDecompress();
  return undefined;
}
