import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/** A key of one family of a tenant: 32 bytes, by version. */
export interface DataKey {
  readonly version: number;
  readonly key: Uint8Array;
}

/** Makes bytes unreadable without the tenant's key. Synchronous: a shard may not await between log and state. */
export interface Seal {
  /** Of the key that it seals with: the newest. */
  readonly version: number;
  seal(plain: Uint8Array, context: string): Uint8Array<ArrayBuffer>;
  /**
   * @throws UnknownKeyVersion if it has no such key: whoever has newer ones may have it.
   * @throws Error if the bytes were changed, cut, or sealed in another context or under another key.
   */
  open(sealed: Uint8Array, context: string): Uint8Array<ArrayBuffer>;
}

/** Sealed with a key that this seal has not heard of. */
export class UnknownKeyVersion extends Error {
  override readonly name = "UnknownKeyVersion";
}

/** What sealed bytes are, and where they belong: they open nowhere else. */
export function sealContext(tenant: string, table: string, row: string, field: string): string {
  return `${tenant}|${table}|${row}|${field}`;
}

/**
 * AES-256-GCM with a fresh random nonce; the context is authenticated. Seals with the newest key, opens with any.
 *
 * Sealed: version (1 byte, 2) | key version (u32, big-endian) | nonce (12) | tag (16) | ciphertext
 */
export function aesSeal(keys: readonly DataKey[]): Seal {
  const byVersion = new Map(keys.map(({ version, key }) => [version, key]));
  const newest = Math.max(...byVersion.keys());
  const head = headOf(newest);
  const newestKey = byVersion.get(newest)!;
  return {
    version: newest,
    seal(plain, context) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv("aes-256-gcm", newestKey, nonce).setAAD(Buffer.from(context));
      const sealed = new Uint8Array(fixedBytes + plain.length);
      const ciphertext = cipher.update(plain);
      cipher.final();
      sealed.set(head);
      sealed.set(nonce, headBytes);
      sealed.set(cipher.getAuthTag(), headBytes + nonceBytes);
      sealed.set(ciphertext, fixedBytes);
      return sealed;
    },
    open(sealed, context) {
      const { keyVersion, nonce, tag, ciphertext } = sealedParts(sealed);
      const key = byVersion.get(keyVersion);
      if (!key) throw new UnknownKeyVersion(`sealed: with key ${keyVersion}, of which nothing is known`);
      const decipher = createDecipheriv("aes-256-gcm", key, nonce);
      decipher.setAAD(Buffer.from(context)).setAuthTag(tag);
      const plain = new Uint8Array(decipher.update(ciphertext));
      decipher.final();
      return plain;
    },
  };
}

/** What sealed bytes consist of, as views of them. @throws Error if they are nothing sealed. */
export function sealedParts(sealed: Uint8Array): {
  keyVersion: number;
  nonce: Uint8Array;
  tag: Uint8Array;
  ciphertext: Uint8Array;
} {
  if (sealed.length < fixedBytes || sealed[0] !== formatVersion) throw new Error("sealed: not of version 2");
  return {
    keyVersion: new DataView(sealed.buffer, sealed.byteOffset).getUint32(1),
    nonce: sealed.subarray(headBytes, headBytes + nonceBytes),
    tag: sealed.subarray(headBytes + nonceBytes, fixedBytes),
    ciphertext: sealed.subarray(fixedBytes),
  };
}

/** The first bytes of whatever a key sealed: by these, rows that wait for a newer one are found. */
export function headOf(keyVersion: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(headBytes);
  head[0] = formatVersion;
  new DataView(head.buffer).setUint32(1, keyVersion);
  return head;
}

const formatVersion = 2;
/** Of the format and of the key. */
const headBytes = 5;
/** NIST SP 800-38D: with random nonces of 96 bits a key seals 2^32 messages. */
const nonceBytes = 12;
const tagBytes = 16;
const fixedBytes = headBytes + nonceBytes + tagBytes;
