import { gunzipSync } from "node:zlib";
import { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { RecordReader } from "../../src/core/formats/record-reader.ts";
import { script } from "./script.ts";

/** Bodies that were put here, as sent to Weir. */
const bodies: Uint8Array[] = [];

/** `PUT` a gzipped body; `POST /gunzip`, `/parse` or `/script` to do that to all of them. Answers a count. */
export default {
  async fetch(request: Request): Promise<Response> {
    if (request.method === "PUT") {
      bodies.push(new Uint8Array(await request.arrayBuffer()));
      return Response.json(bodies.length);
    }
    const work = works[new URL(request.url).pathname];
    return work
      ? Response.json(bodies.reduce((sum, body) => sum + work(body), 0))
      : new Response(null, { status: 404 });
  },
};

const judge = script();

const works: { [path: string]: (body: Uint8Array) => number } = {
  "/gunzip": (body) => gunzipSync(body).length,
  "/parse": (body) => parsed(gunzipSync(body)),
  "/script": (body) => judge(new TextDecoder().decode(gunzipSync(body))),
};

function parsed(text: Uint8Array): number {
  const batch = new FlowBatch();
  const reader = new RecordReader({ format: "auto", batch, recordsMax: 200_000, latestEndMs: Infinity });
  reader.push(text);
  return reader.end().accepted;
}
