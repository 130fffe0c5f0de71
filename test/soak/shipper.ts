import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { IngestAnswer } from "../../src/cli/client.ts";
import type { Server } from "./server.ts";

/** One try of one request. */
export interface Try {
  path: string;
  startedMs: number;
  ms: number;
  /** Of the answer, or why there was none. */
  outcome: number | string;
}

export interface ShippedBatch extends IngestAnswer {
  /** A repeat, of which some shards had learnt their part before. */
  repaired: boolean;
  tries: number;
}

/** A shipper that has no patience with an answer, and all of it with a batch. */
const answerMsMax = 20_000;
const triesMax = 200;
const batchMsMax = 120_000;
const backoffMs = 50;
const backoffMsMax = 1000;
const retryAfterMsMax = 5000;

/** Nobody said 200 in all that time. */
export class NotAcknowledged extends Error {
  override readonly name = "NotAcknowledged";
}

/** Sends what it is given until it is answered 200: the same bytes each time, to wherever the server is by then. */
export class Shipper {
  readonly tries: Try[] = [];
  inFlight = 0;
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  #onSent: (() => void)[] = [];

  constructor(server: Server) {
    this.#server = server;
  }

  /** When the next request has left. */
  nextSent(): Promise<void> {
    return new Promise((resolve) => this.#onSent.push(resolve));
  }

  async ingest(body: Uint8Array): Promise<ShippedBatch> {
    const { text, tries } = await this.#insist("POST", "/v1/ingest/aws-vpc", body);
    return { ...(JSON.parse(text) as Omit<ShippedBatch, "tries">), tries };
  }

  async end(): Promise<void> {
    await this.#insist("POST", "/v1/ingest/end");
  }

  async get<T>(path: string): Promise<T> {
    return JSON.parse((await this.#insist("GET", path)).text) as T;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #insist(method: string, path: string, body?: Uint8Array): Promise<{ text: string; tries: number }> {
    const untilMs = performance.now() + batchMsMax;
    for (let tries = 1; ; tries++) {
      const { outcome, text, retryAfterMs } = await this.#try(method, path, body);
      if (outcome === 200) return { text, tries };
      if (tries === triesMax || performance.now() > untilMs) {
        throw new NotAcknowledged(`${method} ${path}: ${tries} tries, the last: ${outcome} ${text}`);
      }
      await sleep(retryAfterMs ?? Math.min(backoffMs * 2 ** (tries - 1), backoffMsMax));
    }
  }

  async #try(method: string, path: string, body?: Uint8Array): Promise<Answer> {
    const startedMs = performance.now();
    this.inFlight++;
    const sent = this.#send(method, path, body);
    for (const resolve of this.#onSent.splice(0)) resolve();
    const answer = await sent;
    this.inFlight--;
    const [bare] = path.split("?");
    this.tries.push({ path: bare, startedMs, ms: performance.now() - startedMs, outcome: answer.outcome });
    return answer;
  }

  #send(method: string, path: string, body?: Uint8Array): Promise<Answer> {
    return new Promise((resolve) => {
      const headers = {
        authorization: `Bearer ${this.#server.key}`,
        ...(body && { "content-encoding": "gzip", "content-length": body.length }),
      };
      const fail = (error: NodeJS.ErrnoException) => resolve({ outcome: error.code ?? error.message, text: "" });
      const sent = request(this.#server.url + path, { method, agent: this.#agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", fail);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const retryAfter = Number(response.headers["retry-after"] ?? Number.NaN) * 1000;
          const retryAfterMs = Number.isFinite(retryAfter) ? Math.min(retryAfter, retryAfterMsMax) : undefined;
          resolve({ outcome: response.statusCode ?? 0, text, retryAfterMs });
        });
      });
      sent.setTimeout(answerMsMax, () => sent.destroy(Object.assign(new Error(), { code: "TIMEOUT" })));
      sent.on("error", fail);
      sent.end(body);
    });
  }
}

interface Answer {
  outcome: number | string;
  text: string;
  retryAfterMs?: number | undefined;
}
