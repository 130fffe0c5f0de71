import { gunzipSync } from "node:zlib";
import { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { RecordReader } from "../../src/core/formats/record-reader.ts";
import { script } from "./script.ts";

/** Bodies that were put here, as sent to Weir. */
const bodies: Uint8Array[] = [];

/** `PUT` a gzipped body; `POST /gunzip`, `/parse` or `/script` to do that to all of them, `?repeats=` times. */
export default {
  async fetch(request: Request): Promise<Response> {
    if (request.method === "PUT") {
      bodies.push(new Uint8Array(await request.arrayBuffer()));
      return Response.json(bodies.length);
    }
    const { pathname, searchParams } = new URL(request.url);
    const work = works[pathname];
    const repeats = Number(searchParams.get("repeats"));
    if (!work) return new Response(null, { status: 404 });
    let sum = 0;
    for (let i = 0; i < repeats; i++) for (const body of bodies) sum += work(body);
    return Response.json(sum);
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
