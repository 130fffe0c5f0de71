import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/config.ts";
import { localKeyProvider, type KeyProvider } from "../../../src/security/key-provider.ts";
import { DataKeyring, derivedKeyring, KeysDestroyed, newKey, staleMsMax } from "../../../src/security/keyring.ts";
import { rotatedFamilies } from "../../../src/security/tenant-keys.ts";
import { StorageError } from "../../../src/storage/d1.ts";
import type { DataKeyStore, StoredDataKey } from "../../../src/storage/data-keys.ts";

const acme = { id: "acme", jurisdiction: null };
const lab = { id: "lab", jurisdiction: null };
const plain = new TextEncoder().encode("10.0.0.5");

/** Keys in memory, as D1 has them; counts how often it is asked, and may fail or hang. */
class FakeStore implements DataKeyStore {
  readonly keys = new Map<string, StoredDataKey[]>();
  readonly destroyed = new Set<string>();
  reads = 0;
  error: Error | undefined;
  isHanging = false;

  async read({ id }: { id: string }): Promise<StoredDataKey[] | undefined> {
    this.reads++;
    if (this.isHanging) return new Promise(() => {});
    if (this.error) throw this.error;
    return this.destroyed.has(id) ? undefined : [...(this.keys.get(id) ?? [])];
  }

  async add({ id }: { id: string }, keys: readonly StoredDataKey[]): Promise<StoredDataKey[] | undefined> {
    const known = this.keys.get(id) ?? [];
    const isNew = (key: StoredDataKey) =>
      !known.some(({ family, version }) => family === key.family && version === key.version);
    this.keys.set(id, [...known, ...keys.filter(isNew)]);
    return this.read({ id });
  }

  async wrappedByOthers() {
    return { keys: [], count: 0 };
  }

  async rewrap(): Promise<void> {}

  async retire(): Promise<void> {}

  async destroy({ id }: { id: string }): Promise<void> {
    this.keys.delete(id);
    this.destroyed.add(id);
  }
}

function setUp() {
  const store = new FakeStore();
  const clock: Clock & { now: number } = {
    now: 1e12,
    nowMs: () => clock.now,
    // A wait is over at once where the store hangs, else never.
    wait: () => (store.isHanging ? Promise.resolve() : new Promise(() => {})),
    chance: () => 0,
  };
  const local = localKeyProvider([{ id: "k1", key: new Uint8Array(32).fill(1) }]);
  let unwrapped = 0;
  const provider: KeyProvider = {
    ...local,
    unwrap: (key) => {
      unwrapped++;
      return local.unwrap(key);
    },
  };
  const ring = () => new DataKeyring({ clock, log: () => {}, provider, store });
  const rotate = async (version: number) =>
    store.add(
      acme,
      await Promise.all(
        rotatedFamilies.map(async (family) => {
          const { key, ...rest } = newKey(family, version, clock.now);
          return { ...rest, ...(await local.wrap(key)) };
        }),
      ),
    );
  return { store, clock, ring, rotate, unwrappings: () => unwrapped };
}

describe("DataKeyring", () => {
  it("makes a tenant's keys when they are first wanted; whoever comes second has the same", async () => {
    const { store, ring } = setUp();
    const [one, two] = await Promise.all([ring().of(acme), ring().of(acme)]);
    expect(store.keys.get("acme")!.map(({ family }) => family)).toEqual([...rotatedFamilies, "identity"]);
    expect(two.seals.state.open(one.seals.state.seal(plain, "x"), "x")).toEqual(plain);
    expect([two.anomalyId, two.entityHash]).toEqual([one.anomalyId, one.entityHash]);
    const other = await ring().of(lab);
    expect(() => other.seals.state.open(one.seals.state.seal(plain, "x"), "x")).toThrow();
    expect(other.anomalyId).not.toEqual(one.anomalyId);
  });

  it("keeps an identity that is there, and makes what is missing beside it", async () => {
    const { store, ring } = setUp();
    const before = await ring().of(acme);
    store.keys.set(
      "acme",
      store.keys.get("acme")!.filter(({ family }) => family === "identity"),
    );
    const after = await ring().of(acme);
    expect(after.anomalyId).toEqual(before.anomalyId);
    expect(() => after.seals.state.open(before.seals.state.seal(plain, "x"), "x")).toThrow();
  });

  it("asks D1 every 10 s, and unwraps each key once", async () => {
    const { store, clock, ring, unwrappings } = setUp();
    const keys = ring();
    const first = await keys.of(acme);
    const reads = store.reads;
    for (let i = 0; i < 5; i++) expect(await keys.of(acme)).toBe(first);
    expect(store.reads).toBe(reads);
    clock.now += 10_000;
    expect(await keys.of(acme)).toBe(first);
    expect(store.reads).toBe(reads + 1);
    expect(unwrappings()).toBe(6);
  });

  it("seals with a new version 10 s later at the latest, and opens old ones", async () => {
    const { clock, ring, rotate, unwrappings } = setUp();
    const keys = ring();
    const sealed = (await keys.of(acme)).seals.state.seal(plain, "x");
    await rotate(2);
    expect((await keys.of(acme)).seals.state.version).toBe(1);
    clock.now += 10_000;
    const { seals, anomalyId } = await keys.of(acme);
    expect(seals.state.version).toBe(2);
    expect(seals.state.open(sealed, "x")).toEqual(plain);
    expect(anomalyId).toEqual((await ring().of(acme)).anomalyId);
    expect(unwrappings()).toBe(6 + 5 + 11);
  });

  it("has them at once where it is told to read again", async () => {
    const { ring, rotate } = setUp();
    const keys = ring();
    await keys.of(acme);
    await rotate(2);
    expect((await keys.reload(acme)).seals.evidence.version).toBe(2);
  });

  it.each(["fails", "hangs"])("goes by what it knows while D1 %s, for 5 min", async (how) => {
    const { store, clock, ring } = setUp();
    const keys = ring();
    const first = await keys.of(acme);
    if (how === "hangs") store.isHanging = true;
    else store.error = new StorageError("D1 DB is overloaded");
    clock.now += 10_000;
    const { reads } = store;
    expect(await keys.of(acme)).toBe(first);
    expect(await keys.of(acme)).toBe(first);
    expect(store.reads).toBe(reads + 1);
    clock.now += staleMsMax - 10_000;
    expect(await keys.of(acme)).toBe(first);
    clock.now += 1;
    store.isHanging = false;
    store.error = new StorageError("D1 DB is overloaded");
    await expect(keys.of(acme)).rejects.toThrow(StorageError);
  });

  it("cannot serve whose keys nobody knows while D1 fails", async () => {
    const { store, ring } = setUp();
    store.error = new StorageError("D1 DB is overloaded");
    await expect(ring().of(acme)).rejects.toThrow(StorageError);
    expect(store.keys.size).toBe(0);
  });

  it("makes no keys for a tenant whose keys were destroyed, and forgets what it knew", async () => {
    const { store, clock, ring } = setUp();
    const keys = ring();
    await keys.of(acme);
    await store.destroy(acme);
    clock.now += 10_000;
    await expect(keys.of(acme)).rejects.toThrow(KeysDestroyed);
    await expect(keys.of(acme)).rejects.toThrow(KeysDestroyed);
    await expect(ring().of(acme)).rejects.toThrow(KeysDestroyed);
    expect(store.keys.has("acme")).toBe(false);
  });
});

describe("derivedKeyring", () => {
  it("remembers, and has the same keys for the same master key", async () => {
    const keys = derivedKeyring(new Uint8Array(32));
    expect(await keys.of(acme)).toBe(await keys.reload(acme));
    expect((await keys.of(lab)).anomalyId).not.toEqual((await keys.of(acme)).anomalyId);
  });
});
