import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/** Makes bytes unreadable without the tenant's key. Synchronous: a shard may not await between log and state. */
export interface Seal {
  seal(plain: Uint8Array, context: string): Uint8Array<ArrayBuffer>;
  /** @throws Error if the bytes were changed, cut, or sealed in another context or under another key. */
  open(sealed: Uint8Array, context: string): Uint8Array<ArrayBuffer>;
}

/**
 * AES-256-GCM with a fresh random nonce; `context` (what the bytes are and where they belong) is authenticated.
 *
 * Sealed: version (1 byte, 1) | nonce (12) | tag (16) | ciphertext
 */
export function aesSeal(key: Uint8Array): Seal {
  return {
    seal(plain, context) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context));
      const sealed = new Uint8Array(headBytes + plain.length);
      const ciphertext = cipher.update(plain);
      cipher.final();
      sealed[0] = version;
      sealed.set(nonce, 1);
      sealed.set(cipher.getAuthTag(), 1 + nonceBytes);
      sealed.set(ciphertext, headBytes);
      return sealed;
    },
    open(sealed, context) {
      if (sealed.length < headBytes || sealed[0] !== version) throw new Error("sealed: not of version 1");
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(1, 1 + nonceBytes));
      decipher.setAAD(Buffer.from(context)).setAuthTag(sealed.subarray(1 + nonceBytes, headBytes));
      const plain = new Uint8Array(decipher.update(sealed.subarray(headBytes)));
      decipher.final();
      return plain;
    },
  };
}

const version = 1;
/** NIST SP 800-38D: with random nonces of 96 bits a key seals 2^32 messages. */
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + nonceBytes + tagBytes;
