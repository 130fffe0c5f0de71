import { hkdfSync } from "node:crypto";

/** A data key as it may lie anywhere: useless without the key-encryption key that it names. */
export interface WrappedKey {
  readonly kekId: string;
  readonly bytes: Uint8Array;
}

/** Who has the key-encryption keys: the only one that ever uses them. */
export interface KeyProvider {
  /** Id of the one that wraps from now on. */
  readonly currentId: string;
  wrap(key: Uint8Array): Promise<WrappedKey>;
  /** @throws KeyProviderError if it has no such key, or the bytes were not wrapped with it. */
  unwrap(wrapped: WrappedKey): Promise<Uint8Array<ArrayBuffer>>;
}

/** A data key cannot be unwrapped, as long as the settings are what they are. */
export class KeyProviderError extends Error {
  override readonly name = "KeyProviderError";
}

/** One of the keys in the setting `MASTER_KEY`: 32 bytes. */
export interface MasterKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/** AES-KW (RFC 3394) under keys that derive from those of a setting, of which the first is the current one. */
export function localKeyProvider(masterKeys: readonly MasterKey[]): KeyProvider {
  const known = new Map<string, Kek>();
  const kekOf = async (id: string): Promise<Kek> => {
    const found = known.get(id);
    if (found) return found;
    const master = masterKeys.find((one) => one.id === id);
    if (!master) throw new KeyProviderError(`MASTER_KEY has no key ${id}`);
    const bytes = new Uint8Array(hkdfSync("sha256", master.key, "weir/2", "key-encryption", 32));
    const kek = await crypto.subtle.importKey("raw", bytes, "AES-KW", false, ["wrapKey", "unwrapKey"]);
    known.set(id, kek);
    return kek;
  };
  const currentId = masterKeys[0].id;
  return {
    currentId,
    async wrap(key) {
      const dataKey = await crypto.subtle.importKey("raw", new Uint8Array(key), ofAnyLength, true, ["sign"]);
      const bytes = await crypto.subtle.wrapKey("raw", dataKey, await kekOf(currentId), "AES-KW");
      return { kekId: currentId, bytes: new Uint8Array(bytes) };
    },
    async unwrap({ kekId, bytes }) {
      const kek = await kekOf(kekId);
      try {
        const wrapped = new Uint8Array(bytes);
        const key = await crypto.subtle.unwrapKey("raw", wrapped, kek, "AES-KW", ofAnyLength, true, ["sign"]);
        return new Uint8Array((await crypto.subtle.exportKey("raw", key)) as ArrayBuffer);
      } catch (error) {
        throw new KeyProviderError(`a data key does not open with the ${kekId} of MASTER_KEY`, { cause: error });
      }
    },
  };
}

type Kek = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** What WebCrypto calls keys that are only wrapped here: HMAC keys may have any length. */
const ofAnyLength = { name: "HMAC", hash: "SHA-256" };
