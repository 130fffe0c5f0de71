import { describe, expect, it } from "vitest";
import { aesSeal, headOf, sealContext, sealedParts, UnknownKeyVersion } from "../../../src/security/seal.ts";
import { derivedIdentity, sealFamilies, tenantKeys } from "../../../src/security/tenant-keys.ts";

const keyOf = (version: number) => ({ version, key: new Uint8Array(32).fill(version) });
const seal = aesSeal([keyOf(1)]);
const plain = new TextEncoder().encode("10.0.0.5 knocked");

describe("aesSeal", () => {
  it("opens what it sealed, in the same context only", () => {
    const sealed = seal.seal(plain, "here");
    expect(seal.open(sealed, "here")).toEqual(plain);
    expect(() => seal.open(sealed, "there")).toThrow();
    expect(() => aesSeal([{ version: 1, key: keyOf(2).key }]).open(sealed, "here")).toThrow();
  });

  it("shows nothing of the plain text and never seals twice alike", () => {
    const [one, two] = [seal.seal(plain, "here"), seal.seal(plain, "here")];
    expect(Buffer.from(one).includes("10.0.0.5")).toBe(false);
    expect(one).not.toEqual(two);
    expect(one.length).toBe(plain.length + 33);
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

  it("seals with the newest key and opens with each; of one it has not heard of, it says so", () => {
    const both = aesSeal([keyOf(2), keyOf(1)]);
    const [old, young] = [seal.seal(plain, "here"), both.seal(plain, "here")];
    expect([seal.version, both.version]).toEqual([1, 2]);
    expect(both.open(old, "here")).toEqual(plain);
    expect(() => seal.open(young, "here")).toThrow(UnknownKeyVersion);
    expect([...young.subarray(0, 5)]).toEqual([...headOf(2)]);
  });

  it("lets whoever has the key open the parts", async () => {
    const { keyVersion, nonce, tag, ciphertext } = sealedParts(aesSeal([keyOf(7)]).seal(plain, "acme|t|r|f"));
    expect([keyVersion, nonce.length, tag.length, ciphertext.length]).toEqual([7, 12, 16, plain.length]);
    const key = await crypto.subtle.importKey("raw", keyOf(7).key, "AES-GCM", false, ["decrypt"]);
    const additionalData = Buffer.from(sealContext("acme", "t", "r", "f"));
    const opened = await crypto.subtle.decrypt(
      { name: "AES-GCM", iv: new Uint8Array(nonce), additionalData },
      key,
      new Uint8Array([...ciphertext, ...tag]),
    );
    expect(new Uint8Array(opened)).toEqual(plain);
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
    for (const family of sealFamilies) {
      const sealed = acme.seals[family].seal(plain, "x");
      for (const other of sealFamilies) expect(() => lab.seals[other].open(sealed, "x")).toThrow();
      for (const other of sealFamilies.filter((one) => one !== family))
        expect(() => acme.seals[other].open(sealed, "x")).toThrow();
    }
    expect(tenantKeys(new Uint8Array(32), "acme").anomalyId).not.toEqual(acme.anomalyId);
    expect(derivedIdentity(master, "acme")).toHaveLength(40);
  });

  it("derives the same in every runtime: digests of runs depend on it", () => {
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
});
