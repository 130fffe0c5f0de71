import { hkdfSync } from "node:crypto";
import { KeyProviderError, type MasterKey } from "./key-provider.ts";
import { aesSeal, type Seal } from "./seal.ts";

/** Sealed text, and under which key-encryption key's child. */
export interface SealedText {
  readonly kekId: string;
  /** base64 */
  readonly sealed: string;
}

/** Seals what the directory keeps of tenants and keys: it belongs to the platform, and to no tenant's data keys. */
export class DirectorySeal {
  readonly #seals: ReadonlyMap<string, Seal>;
  /** What new values are sealed under. */
  readonly currentId: string;

  /** The first is the current one; values under any of them open. */
  constructor(keys: readonly MasterKey[]) {
    this.currentId = keys[0].id;
    const childOf = (key: Uint8Array) => new Uint8Array(hkdfSync("sha256", key, "weir/1", "api-key", 32));
    this.#seals = new Map(keys.map(({ id, key }) => [id, aesSeal([{ version: 1, key: childOf(key) }])]));
  }

  /** `context`: where it belongs, as `sealContext` says it. */
  seal(plain: Uint8Array, context: string): SealedText {
    const sealed = this.#seals.get(this.currentId)!.seal(plain, context);
    return { kekId: this.currentId, sealed: Buffer.from(sealed).toString("base64") };
  }

  /** @throws KeyProviderError where there is no such master key, and Error where the value is not what it was. */
  open({ kekId, sealed }: SealedText, context: string): Uint8Array {
    const seal = this.#seals.get(kekId);
    if (!seal) throw new KeyProviderError(`MASTER_KEY has no key ${kekId}`);
    return seal.open(new Uint8Array(Buffer.from(sealed, "base64")), context);
  }
}
