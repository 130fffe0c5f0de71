import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { batches } from "../../src/cli/batches.ts";
import { Client, gzip } from "../../src/cli/client.ts";
import { startLocalWorker } from "../../src/cli/local-worker.ts";
import { readLog } from "../../src/cli/read-log.ts";
import { makeSample } from "../../src/cli/sample.ts";
import { occurrencesIn, SeenAddresses } from "../support/address-scan.ts";
import { hasShared, missing, sharedBytes, sharedFiles, sharedText } from "../unit/formats/shared.ts";

interface Log {
  tenant: string;
  internal: string[];
  /** Each the body of one batch. */
  bodies: Uint8Array<ArrayBuffer>[];
}

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "weir-at-rest-"));
  folders.push(folder);
  return folder;
}

/** Sends logs as a shipper would, looks at what was found, and stops; answers what its storage files hold. */
async function filesAfter(logs: readonly Log[]) {
  const [state, seen] = [newFolder(), new SeenAddresses()];
  const tenants = Object.fromEntries(logs.map(({ tenant, internal }) => [tenant, { internal }]));
  const worker = await startLocalWorker({ tenants, state, latenessAllowanceS: 86_400 });
  let anomalies = 0;
  try {
    for (const { tenant, bodies } of logs) {
      const client = new Client(worker.url, worker.keys[tenant]);
      for (const body of bodies) {
        await readLog([body], { format: "auto" }, (batch) => seen.add(batch));
        await client.ingest("auto", gzip(body));
      }
      await client.end();
      anomalies += (await client.anomalies({})).length;
    }
  } finally {
    await worker.dispose();
  }
  return { state, seen, anomalies };
}

/** As often as chance has it, with room for four standard deviations and a handful. */
function byChance(others: number): number {
  return others + 4 * Math.sqrt(others) + 5;
}

function expectNoAddress(state: string, seen: SeenAddresses): void {
  const { bytes, text, sixteenBytes, pairs, fourBytes, fourBytesOfOthers } = occurrencesIn(state, seen);
  const told = `${bytes} bytes, ${seen.v4.size} + ${seen.v6.size} addresses: ${fourBytes} of four bytes, ${fourBytesOfOthers} of others`;
  console.log(`${told}; text ${text}, 16 bytes ${sixteenBytes}, pairs ${pairs}`);
  expect(bytes).toBeGreaterThan(100_000);
  expect({ text, sixteenBytes, pairs }).toEqual({ text: 0, sixteenBytes: 0, pairs: 0 });
  expect(fourBytes).toBeLessThanOrEqual(byChance(fourBytesOfOthers));
}

describe("the storage files", () => {
  it("hold no address of a log, in any form", async () => {
    const { internal, batches: sample } = makeSample(1, Date.now());
    const bodies = sample.map(({ body }) => new Uint8Array(gunzipSync(body)));
    const { state, seen, anomalies } = await filesAfter([{ tenant: "acme", internal, bodies }]);
    expect(anomalies).toBeGreaterThan(10);
    expect(seen.v4.size).toBeGreaterThan(50);
    expectNoAddress(state, seen);
  });

  it.skipIf(!hasShared)(`hold no address of any capture${missing}`, async () => {
    const truth = JSON.parse(sharedText("captures", "truth.json")) as Record<string, { internal: string[] }>;
    const logs: Log[] = [];
    for (const [i, name] of sharedFiles("captures")
      .filter((file) => file.endsWith(".gz"))
      .entries()) {
      const bodies: Log["bodies"] = [];
      for await (const { body } of batches([sharedBytes("captures", name)], 5000)) bodies.push(body);
      logs.push({ tenant: `capture-${i}`, internal: truth[name].internal, bodies });
    }
    const { state, seen, anomalies } = await filesAfter(logs);
    expect(anomalies).toBeGreaterThan(40);
    expectNoAddress(state, seen);
  });
});

describe("the search for addresses", () => {
  const seen = new SeenAddresses();
  seen.v4.add(0x0a141e28).add(0xc6336407);
  seen.v6.add([0x20010db8, 1, 2, 3].join(","));
  seen.v6Starts.add(0x20010db8);
  seen.pairs.add((0x0a141e28 & 0x1fffff) * 2 ** 32 + 0xc6336407);

  it.each<[string, Buffer, object]>([
    ["text", Buffer.from("from 10.20.30.40 to nobody"), { text: 1 }],
    ["text of two bytes a character", Buffer.from(" 10.20.30.40 ", "utf16le"), { text: 1 }],
    ["IPv6 as text", Buffer.from('"2001:db8:0:1:0:2:0:3"'), { text: 1 }],
    ["four bytes", Buffer.from("0a141e28", "hex"), { fourBytes: 1 }],
    ["four bytes, the lowest first", Buffer.from("ff281e140aff", "hex"), { fourBytes: 1 }],
    ["sixteen bytes", Buffer.from("00000000000000000000ffff0a141e28", "hex"), { sixteenBytes: 1, fourBytes: 1 }],
    ["IPv6", Buffer.from("ff20010db8000000010000000200000003", "hex"), { sixteenBytes: 1 }],
    ["a source before its target", Buffer.from("0a141e28c6336407", "hex"), { pairs: 1, fourBytes: 2 }],
  ])("sees %s", (_, planted, found) => {
    const folder = newFolder();
    writeFileSync(join(folder, "file"), planted);
    expect(occurrencesIn(folder, seen)).toMatchObject({ text: 0, sixteenBytes: 0, pairs: 0, ...found });
  });
});
