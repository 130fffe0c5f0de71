import { describe, expect, it } from "vitest";
import { aesSeal } from "../../../src/security/seal.ts";
import { keyring, tenantKeys } from "../../../src/security/tenant-keys.ts";

const seal = aesSeal(new Uint8Array(32).fill(1));
const plain = new TextEncoder().encode("10.0.0.5 knocked");

describe("aesSeal", () => {
  it("opens what it sealed, in the same context only", () => {
    const sealed = seal.seal(plain, "here");
    expect(seal.open(sealed, "here")).toEqual(plain);
    expect(() => seal.open(sealed, "there")).toThrow();
    expect(() => aesSeal(new Uint8Array(32).fill(2)).open(sealed, "here")).toThrow();
  });

  it("shows nothing of the plain text and never seals twice alike", () => {
    const [one, two] = [seal.seal(plain, "here"), seal.seal(plain, "here")];
    expect(Buffer.from(one).includes("10.0.0.5")).toBe(false);
    expect(one).not.toEqual(two);
    expect(one.length).toBe(plain.length + 29);
  });

  it("notices a change of any byte, and of the length", () => {
    const sealed = seal.seal(plain, "here");
    for (let i = 0; i < sealed.length; i++) {
      const changed = sealed.slice();
      changed[i] ^= 1;
      expect(() => seal.open(changed, "here"), `byte ${i}`).toThrow();
    }
    expect(() => seal.open(sealed.slice(0, -1), "here")).toThrow();
    expect(() => seal.open(new Uint8Array(0), "here")).toThrow();
  });

  it("seals nothing, too", () => {
    expect(seal.open(seal.seal(new Uint8Array(0), ""), "")).toEqual(new Uint8Array(0));
  });
});

describe("tenantKeys", () => {
  const master = new Uint8Array(32).fill(3);

  it("gives each tenant and each purpose a key of its own, the same each time", () => {
    const acme = tenantKeys(master, "acme");
    const lab = tenantKeys(master, "lab");
    expect(tenantKeys(master, "acme").anomalyId).toEqual(acme.anomalyId);
    expect(tenantKeys(master, "acme").entityHash).toEqual(acme.entityHash);
    expect(lab.anomalyId).not.toEqual(acme.anomalyId);
    expect(lab.entityHash).not.toEqual(acme.entityHash);
    expect(() => lab.seal.open(acme.seal.seal(plain, "x"), "x")).toThrow();
    expect(tenantKeys(new Uint8Array(32), "acme").anomalyId).not.toEqual(acme.anomalyId);
  });

  it("derives the same in every runtime: stored rows depend on it", () => {
    const { anomalyId, entityHash } = tenantKeys(master, "acme");
    expect(Buffer.from(anomalyId).toString("hex")).toMatchInlineSnapshot(
      `"47cdd3b35c27142ee48880c560a121e43a06a233ecc00d80883784ae6e3fa849"`,
    );
    expect(entityHash).toMatchInlineSnapshot(`
      [
        3955648087,
        2301796594,
      ]
    `);
  });

  it("remembers", async () => {
    const keysOf = keyring(master);
    expect(await keysOf("acme")).toBe(await keysOf("acme"));
  });
});
