import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Client, gzip } from "../../../src/cli/client.ts";

let server: Server | undefined;

afterEach(() => {
  server?.close();
});

function serve(listener: RequestListener): Promise<string> {
  return new Promise((resolve) => {
    server = createServer(listener).listen(0, "127.0.0.1", () => {
      resolve(`http://127.0.0.1:${(server!.address() as AddressInfo).port}`);
    });
  });
}

const body = gzip(new TextEncoder().encode("2 x\n"));

describe("Client", () => {
  it("waits as Retry-After says and sends the same under the same key", async () => {
    const seen: IncomingMessage["headers"][] = [];
    const url = await serve((request, response) => {
      seen.push(request.headers);
      request.resume();
      if (seen.length === 1) response.writeHead(503, { "retry-after": "0" }).end('{"title":"Too much"}');
      else if (seen.length === 2) response.writeHead(429, { "retry-after": "0" }).end("{}");
      else response.end('{"received":1}');
    });
    const waits: string[] = [];
    const client = new Client(url, "k.s", (reason, seconds) => waits.push(`${reason} ${seconds}`));
    expect(await client.ingest("auto", body)).toEqual({ received: 1 });
    expect(new Set(seen.map((headers) => headers["idempotency-key"])).size).toBe(1);
    expect(seen[0]).toMatchObject({ authorization: "Bearer k.s", "content-encoding": "gzip" });
    expect(waits).toEqual(["503: Too much. 0", "429: Too Many Requests. 0"]);
  });

  it("tells a problem document in a sentence and does not repeat what cannot succeed", async () => {
    let count = 0;
    const url = await serve((request, response) => {
      count++;
      request.resume();
      response.writeHead(415).end('{"title":"No such format","known":["json","aws-vpc"]}');
    });
    await expect(new Client(url, "k.s").ingest("x", body)).rejects.toThrow(
      "415: No such format (known are json, aws-vpc).",
    );
    expect(count).toBe(1);
  });

  it("reads page after page", async () => {
    const url = await serve((request, response) => {
      const cursor = new URL(request.url!, "http://x").searchParams.get("cursor");
      response.end(
        JSON.stringify({ anomalies: [{ id: cursor ?? "first" }], next: cursor === "second" ? null : "second" }),
      );
    });
    expect((await new Client(url, "k.s").anomalies({})).map(({ id }) => id)).toEqual(["first", "second"]);
  });

  it("says at once that nobody is there", async () => {
    const url = await serve(() => {});
    await new Promise((resolve) => server!.close(resolve));
    await expect(new Client(url, "k.s").end()).rejects.toThrow(`No Weir answers at ${url}.`);
  });
});
