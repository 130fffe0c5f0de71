import { gunzipSync } from "node:zlib";
import { FlowBatch } from "../../../src/core/flow/flow-batch.ts";
import { fold } from "../../../src/core/flow/fold.ts";
import { networkMatcher } from "../../../src/core/flow/networks.ts";
import { orient } from "../../../src/core/flow/orient.ts";
import { packContacts } from "../../../src/core/flow/pack-contacts.ts";
import { RecordReader } from "../../../src/core/formats/record-reader.ts";
import type { BenchLog } from "./bench-log.ts";
import { DetectorBench } from "./detect.ts";
import { script } from "./script.ts";
import { runChainOnce, sealBatch } from "./security.ts";

export { BenchLog } from "./bench-log.ts";

interface PartsEnv {
  LOG: DurableObjectNamespace<BenchLog>;
}

/** Bodies that were put here, as sent to Weir. */
const bodies: Uint8Array[] = [];

const contactsOfBodies: Uint8Array[] = [];

/**
 * `PUT` a gzipped body; `POST /gunzip`, `/parse`, `/script`, `/detect`, `/log`, `/seal` or `/chain` to do that to, or for,
 * all of them, `?repeats=` times.
 */
export default {
  async fetch(request: Request, { LOG }: PartsEnv): Promise<Response> {
    const log = LOG.get(LOG.idFromName("log"));
    if (request.method === "PUT") {
      const body = new Uint8Array(await request.arrayBuffer());
      const contacts = contactsOf(parsed(gunzipSync(body)));
      detectorBench.put(contacts);
      contactsOfBodies.push(new Uint8Array(contacts));
      await log.put(contacts);
      return Response.json(bodies.push(body));
    }
    const { pathname, searchParams } = new URL(request.url);
    const repeats = Number(searchParams.get("repeats"));
    if (pathname === "/log") return Response.json(await log.log(repeats));
    if (pathname === "/detect") {
      return Response.json(Array.from({ length: repeats }, () => detectorBench.run()).at(-1));
    }
    if (pathname === "/chain") {
      let passed = 0;
      for (let i = 0; i < repeats * bodies.length; i++) passed += await runChainOnce();
      return Response.json(passed);
    }
    if (pathname === "/seal") {
      let sum = 0;
      for (let i = 0; i < repeats; i++) for (const contacts of contactsOfBodies) sum += sealBatch(contacts);
      return Response.json(sum);
    }
    const work = works[pathname];
    if (!work) return new Response(null, { status: 404 });
    let sum = 0;
    for (let i = 0; i < repeats; i++) for (const body of bodies) sum += work(body);
    return Response.json(sum);
  },
};

const judge = script();
const detectorBench = new DetectorBench();

const works: { [path: string]: (body: Uint8Array) => number } = {
  "/gunzip": (body) => gunzipSync(body).length,
  "/parse": (body) => parsed(gunzipSync(body)).length,
  "/script": (body) => judge(new TextDecoder().decode(gunzipSync(body))),
};

function parsed(text: Uint8Array): FlowBatch {
  const batch = new FlowBatch();
  const reader = new RecordReader({ format: "auto", batch, recordsMax: 200_000, latestEndMs: Infinity });
  reader.push(text);
  reader.end();
  return batch;
}

function contactsOf(batch: FlowBatch): ArrayBuffer {
  orient(batch);
  const options = { hashKey: [1, 2], isInternal: networkMatcher(["10.20.0.0/16"]), allowanceMs: 600_000 } as const;
  return packContacts(fold(batch, options).contacts);
}
