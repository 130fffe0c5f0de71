import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { IngestAnswer } from "../../src/cli/client.ts";

/** Posts over kept-alive connections with as little work of its own as node allows. */
export class Poster {
  readonly #agent: Agent;
  readonly #url: string;
  readonly #key: string;

  constructor(url: string, key: string, connections: number) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
    this.#url = url;
    this.#key = key;
  }

  call<T>(method: string, path: string, body?: Uint8Array): Promise<T> {
    return new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${this.#key}`,
        ...(body && { "content-encoding": "gzip", "content-length": body.length }),
      };
      const sent = request(this.#url + path, { method, agent: this.#agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(JSON.parse(text) as T);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  ingest(body: Uint8Array): Promise<IngestAnswer> {
    return this.call("POST", "/v1/ingest/aws-vpc", body);
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** All bodies, two at a time so that the server never waits for the client; answers the seconds it took. */
export async function asFastAsPossible(
  poster: Poster,
  bodies: readonly Uint8Array[],
  flowsEach: number,
): Promise<number> {
  const startMs = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < bodies.length) {
      const { accepted } = await poster.ingest(bodies[next++]);
      if (accepted !== flowsEach) throw new Error(`${accepted} of ${flowsEach} flows were accepted`);
    }
  };
  await Promise.all([lane(), lane()]);
  return (performance.now() - startMs) / 1000;
}

export interface Timed {
  /** From when it was due to its answer. */
  ms: number;
  answer: IngestAnswer;
}

/** One body every `everyMs`, whether or not the ones before were answered: waiting in line counts. */
export async function atRate(poster: Poster, bodies: readonly Uint8Array[], everyMs: number): Promise<Timed[]> {
  const startMs = performance.now() + 20;
  const post = async (body: Uint8Array, i: number): Promise<Timed> => {
    const dueMs = startMs + i * everyMs;
    await sleep(Math.max(0, dueMs - performance.now()));
    const answer = await poster.ingest(body);
    return { ms: performance.now() - dueMs, answer };
  };
  return Promise.all(bodies.map(post));
}
