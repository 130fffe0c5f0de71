import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RECORD_ID_BYTES_MAX } from "../../../src/core/formats/record-id.ts";
import { read, type Reading } from "./reading.ts";

const conn = {
  ts: 1_700_000_000.5,
  uid: "CHhAvVGS1DHFjwGM9",
  "id.orig_h": "10.0.0.1",
  "id.orig_p": 1024,
  "id.resp_h": "10.0.0.2",
  "id.resp_p": 22,
  proto: "tcp",
  duration: 1.5,
  orig_bytes: 100,
  resp_bytes: 200,
  conn_state: "SF",
  orig_pkts: 3,
  resp_pkts: 4,
};

const connText = (fields: Record<string, unknown>) => {
  const record: Record<string, unknown> = { ...conn, ...fields };
  return `#fields\t${Object.keys(record).join("\t")}\n${Object.values(record).join("\t")}\n`;
};

const eve = (flowId: string) =>
  `{${flowId}"event_type":"flow","src_ip":"10.0.0.1","src_port":1024,"dest_ip":"10.0.0.2","dest_port":22,` +
  `"proto":"TCP","flow":{"start":"2023-11-14T22:13:20Z","end":"2023-11-14T22:13:21Z"}}\n`;

const flow = { source_ip: "10.0.0.1", source_port: 1024, dest_ip: "10.0.0.2", dest_port: 22, proto: "tcp", start: 1e9 };

function idsOf({ rows, balance }: Reading): string[] {
  expect(balance.rejects).toEqual([]);
  return rows.map(({ recordId }) => recordId);
}

const idOf = (reading: Reading) => {
  const ids = idsOf(reading);
  expect(ids).toHaveLength(1);
  return ids[0];
};
const connId = (fields: Record<string, unknown> = {}) =>
  idOf(read("zeek-conn-json", JSON.stringify({ ...conn, ...fields })));
const connTextId = (fields: Record<string, unknown> = {}) => idOf(read("zeek-conn", connText(fields)));
const eveId = (flowId: string) => idOf(read("suricata-eve", eve(flowId)));
const flowId = (fields: Record<string, unknown>) => idOf(read("json", JSON.stringify({ ...flow, ...fields })));

describe("the id of a record", () => {
  it("is Zeek's uid, as text and as JSON alike, and the same wherever it is computed", () => {
    expect(connId()).toBe("4fa5726e12f1c6a3");
    expect(connTextId()).toBe(connId());
    expect(connTextId({ uid: "CHhAvVGS1DHFjwGM8" })).toBe(connId({ uid: "CHhAvVGS1DHFjwGM8" }));
    expect(connId({ uid: "CHhAvVGS1DHFjwGM8" })).not.toBe(connId());
  });

  it("is Suricata's flow_id, a number or a string, to the last digit", () => {
    expect(eveId('"flow_id":9223372036854775807,')).toBe(eveId('"flow_id":"9223372036854775807",'));
    expect(eveId('"flow_id":9223372036854775807,')).not.toBe(eveId('"flow_id":9223372036854775806,'));
    expect(eveId('"flow_id":0,')).not.toBe("");
  });

  it("is `_id`, else `event.id`, in JSON of the usual names", () => {
    const id = flowId({ _id: "a" });
    expect(id).not.toBe("");
    expect(flowId({ "event.id": "a" })).toBe(id);
    expect(flowId({ event: { id: "a" } })).toBe(id);
    expect(flowId({ event: { id: "b" }, _id: "a" })).toBe(id);
    expect(flowId({ event: { id: "a" }, _id: null })).toBe(id);
    expect(flowId({ event: { id: "b" } })).not.toBe(id);
    expect(flowId({ id: "a", source: { id: "a" }, event: { _id: "a" } })).toBe("");
  });

  it("is the same when the record comes again, in whatever company", () => {
    const lines = Array.from({ length: 20 }, (_, i) => JSON.stringify({ ...conn, uid: `C${i}` }));
    const ids = idsOf(read("zeek-conn-json", lines.join("\n")));
    expect(new Set(ids).size).toBe(20);
    expect(idsOf(read("zeek-conn-json", lines.toReversed().join("\n")))).toEqual(ids.toReversed());
    expect(lines.map((line) => idOf(read("zeek-conn-json", line)))).toEqual(ids);
  });

  it.each([
    { ts: 1_700_000_000.500_001 },
    { duration: 1.500_001 },
    { orig_bytes: 101 },
    { resp_bytes: 201 },
    { orig_pkts: 4 },
    { resp_pkts: 3 },
    { orig_bytes: 200, resp_bytes: 100 },
    { "id.orig_h": "10.0.0.3" },
    { "id.resp_h": "::10.0.0.2" },
    { "id.orig_h": "10.0.0.2", "id.resp_h": "10.0.0.1" },
    { "id.orig_p": 22, "id.resp_p": 1024 },
    { "id.orig_p": 1025 },
    { "id.resp_p": 23 },
    { proto: "udp" },
  ])("is another where the record says %j", (fields) => {
    expect(connId(fields)).not.toBe(connId());
    expect(connId(fields)).toBe(connTextId(fields));
  });

  it("does not depend on what is neither compared nor the id", () => {
    expect(connId({ conn_state: "S1", history: "ShAd", service: "ssh" })).toBe(connId());
  });

  it("is none where the record says nothing", () => {
    for (const uid of ["-", "", "(empty)"]) expect([connTextId({ uid }), connId({ uid })]).toEqual(["", ""]);
    expect([connId({ uid: null }), connId({ uid: undefined })]).toEqual(["", ""]);
    for (const id of ["", '"flow_id":null,', '"flow_id":"",']) expect(eveId(id)).toBe("");
    for (const id of [null, "", "-"]) expect(flowId({ _id: id, event: { id } })).toBe("");
  });

  it("is not that of the record before", () => {
    const [first, second, third] = idsOf(
      read("json", [{ _id: "a" }, {}, { _id: "a" }].map((id) => JSON.stringify({ ...flow, ...id })).join("\n")),
    );
    expect([second, third]).toEqual(["", first]);
    expect(idsOf(read("suricata-eve", eve('"flow_id":1,') + eve("")))[1]).toBe("");
    expect(idsOf(read("zeek-conn", connText({}) + connText({ uid: "-" })))[1]).toBe("");
  });

  it("is read up to its limit in bytes, whole, and beyond it there is none", () => {
    const longest = "a".repeat(RECORD_ID_BYTES_MAX);
    const ids = Array.from({ length: RECORD_ID_BYTES_MAX }, (_, at) =>
      connId({ uid: `${longest.slice(0, at)}b${longest.slice(at + 1)}` }),
    );
    expect(new Set([...ids, connId({ uid: longest })]).size).toBe(RECORD_ID_BYTES_MAX + 1);
    expect([connId({ uid: `${longest}a` }), connTextId({ uid: `${longest}a` })]).toEqual(["", ""]);
    expect(connId({ uid: "é".repeat(RECORD_ID_BYTES_MAX / 2) })).not.toBe("");
    expect(connId({ uid: `a${"é".repeat(RECORD_ID_BYTES_MAX / 2)}` })).toBe("");
  });
});

describe("ids that differ", () => {
  const checkDistinct = (texts: readonly string[]) => {
    const body = texts.map((text) => JSON.stringify({ ...flow, _id: `x${text}` })).join("\n");
    const ids = idsOf(read("json", body));
    expect(new Set(ids).size).toBe(texts.length);
    // Either half of the hash would do for so few.
    for (const half of [0, 8]) {
      const halves = new Set(ids.map((id) => id.slice(half, half + 8)));
      expect(texts.length - halves.size).toBeLessThanOrEqual(2);
    }
  };

  it("give hashes that differ, whatever they are", () => {
    const text = fc.string({ unit: "binary", maxLength: 16 });
    fc.assert(fc.property(fc.uniqueArray(text, { minLength: 100, maxLength: 400 }), checkDistinct), { numRuns: 30 });
  });

  it("give hashes that differ, if they count up, from anywhere and at any place", () => {
    const count = fc.tuple(fc.nat(), fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }));
    const counted = ([first, head, tail]: [number, string, string]) =>
      checkDistinct(Array.from({ length: 2000 }, (_, i) => head + (first + i) + tail));
    fc.assert(fc.property(count, counted), { numRuns: 10 });
  });

  it("give hashes that differ, if only in length", () => {
    const zeros = Array.from({ length: 100 }, (_, length) => connTextId({ uid: `C${"\0".repeat(length)}` }));
    expect(new Set(zeros).size).toBe(100);
    checkDistinct(Array.from({ length: 100 }, (_, length) => "a".repeat(length)));
  });
});
