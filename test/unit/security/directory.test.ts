import { describe, expect, it } from "vitest";
import { readConfig } from "../../../src/config.ts";
import type { ApiKey } from "../../../src/security/api-key.ts";
import { isGood } from "../../../src/security/api-key.ts";
import { directoryOf } from "../../../src/security/directory.ts";
import { DirectorySeal } from "../../../src/security/directory-seal.ts";
import { tenantSettings } from "../../../src/security/tenant-settings.ts";
import type { TenantSettings } from "../../../src/security/tenant.ts";
import { StorageError } from "../../../src/storage/d1.ts";
import { LocalClock } from "../../../src/tiers/local-parts.ts";

const environment = readConfig({
  MASTER_KEY: Buffer.alloc(32).toString("base64"),
  API_KEYS: [{ kid: "bootstrap", tenant: "acme", role: "admin", secret_sha256: "ab".repeat(32) }],
});
const good: ApiKey = { ...environment.apiKeys.get("bootstrap")!, kid: "k1", tenant: "lab" };

/** An isolate over a database whose answers the test decides. */
function isolate() {
  const clock = new LocalClock();
  const messages: string[] = [];
  const state = { isAway: false, isStuck: false, asked: [] as string[] };
  const keys = new Map<string, ApiKey>([["k1", good]]);
  const tenants = new Map<string, TenantSettings>([["lab", tenantSettings("lab", {}, 0)]]);
  const answer = async <T>(id: string, rows: ReadonlyMap<string, T>) => {
    const row = rows.get(id);
    state.asked.push(id);
    if (state.isStuck) await new Promise(() => {});
    if (state.isAway) throw new StorageError("away");
    return row;
  };
  const directory = directoryOf({
    environment,
    reader: { key: (kid) => answer(kid, keys), tenant: (id) => answer(id, tenants) },
    clock,
    log: ({ message }) => void messages.push(message),
    waitUntil: () => {},
  });
  const after = (ms: number) => clock.set(clock.nowMs() + ms);
  return { directory, state, keys, tenants, messages, after, clock };
}

describe("the directory", () => {
  it("knows whom the environment names, without asking, whatever the database says", async () => {
    const { directory, state, keys, tenants } = isolate();
    keys.set("bootstrap", { ...good, tenant: "lab" });
    tenants.set("acme", tenantSettings("acme", { shards: 7 }, 0));
    expect(await directory.keyOf("bootstrap")).toMatchObject({ tenant: "acme" });
    expect(await directory.tenantOf("acme")).toMatchObject({ shards: 1 });
    expect(await directory.tenantOf("-")).toMatchObject({ shards: 0 });
    expect(state.asked).toEqual([]);
  });

  it("asks for a key again after five seconds: then a revocation is known", async () => {
    const { directory, state, keys, after } = isolate();
    expect(await directory.keyOf("k1")).toBe(good);
    keys.set("k1", { ...good, revokedAtMs: 1 });
    after(4999);
    expect(await directory.keyOf("k1")).toBe(good);
    after(1);
    expect(await directory.keyOf("k1")).toMatchObject({ revokedAtMs: 1 });
    expect(state.asked).toEqual(["k1", "k1"]);
  });

  it("remembers as long that a key is not there, however many are asked for", async () => {
    const { directory, state, keys, after } = isolate();
    await directory.keyOf("k1");
    for (let i = 0; i < 20_000; i++) expect(await directory.keyOf(`x${i % 15_000}`)).toBeUndefined();
    expect(state.asked.length).toBeGreaterThan(15_000);
    state.asked = [];
    await directory.keyOf("k1");
    await directory.keyOf("x4999");
    expect(state.asked).toEqual([]);
    keys.set("x4999", good);
    after(5000);
    expect(await directory.keyOf("x4999")).toBe(good);
  });

  it("goes by what it knew for five minutes while the database fails, and no longer", async () => {
    const { directory, state, after, messages } = isolate();
    await directory.keyOf("k1");
    await directory.tenantOf("lab");
    state.isAway = true;
    after(5000);
    expect(await directory.keyOf("k1")).toBe(good);
    expect(await directory.keyOf("k1")).toBe(good);
    expect(await directory.tenantOf("lab")).toBeDefined();
    // Not with each request.
    expect(state.asked).toEqual(["k1", "lab", "k1", "lab"]);
    expect(messages).toHaveLength(2);
    await expect(directory.keyOf("k2")).rejects.toThrow(StorageError);
    after(295_000);
    await expect(directory.keyOf("k1")).rejects.toThrow(StorageError);
  });

  it("goes by what it knew while the database does not answer", async () => {
    const { directory, state, after, clock } = isolate();
    await directory.keyOf("k1");
    state.isStuck = true;
    after(5000);
    const waiting = directory.keyOf("k1");
    clock.set(clock.nowMs() + 1000);
    expect(await waiting).toBe(good);
    expect(await directory.keyOf("k1")).toBe(good);
    expect(state.asked).toEqual(["k1", "k1"]);
  });

  it("forgets what it knew when this isolate has written, also what was being read then", async () => {
    const { directory, keys } = isolate();
    const reading = directory.keyOf("k1");
    keys.delete("k1");
    directory.changed();
    expect(await reading).toBe(good);
    expect(await directory.keyOf("k1")).toBeUndefined();
  });
});

describe("a key", () => {
  it.each([
    [{}, true],
    [{ notBeforeMs: 1000 }, true],
    [{ notBeforeMs: 1001 }, false],
    [{ expiresAtMs: 1001 }, true],
    [{ expiresAtMs: 1000 }, false],
    [{ graceUntilMs: 1001, replacedBy: "k2" }, true],
    [{ graceUntilMs: 1000, replacedBy: "k2" }, false],
    [{ revokedAtMs: 1 }, false],
    [{ revokedAtMs: 1, graceUntilMs: 9999 }, false],
  ])("that is %j is good at 1000: %s", (more, expected) => {
    expect(isGood({ ...good, ...more }, 1000)).toBe(expected);
  });
});

describe("what the directory seals", () => {
  const [a, b] = [1, 2].map((fill) => ({ id: `k${fill}`, key: new Uint8Array(32).fill(fill) }));
  const plain = new TextEncoder().encode("a signing key");

  it("opens under the key that it names, also when that is not the current one any more", () => {
    const sealed = new DirectorySeal([a]).seal(plain, "here");
    expect(sealed.kekId).toBe("k1");
    expect([...new DirectorySeal([b, a]).open(sealed, "here")]).toEqual([...plain]);
    expect(new DirectorySeal([b, a]).seal(plain, "here").kekId).toBe("k2");
  });

  it("opens nowhere else, and under no other key", () => {
    const sealed = new DirectorySeal([a]).seal(plain, "here");
    expect(() => new DirectorySeal([a]).open(sealed, "there")).toThrow();
    expect(() => new DirectorySeal([b]).open(sealed, "here")).toThrow("MASTER_KEY has no key k1");
    expect(() => new DirectorySeal([{ ...b, id: "k1" }]).open(sealed, "here")).toThrow();
  });
});
