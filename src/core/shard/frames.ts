import { blobBytesMax } from "./storage.ts";

/**
 * A text of any length as blobs of bounded length, each of which can be verified by itself.
 *
 *     magic | version | checksum | number (8 bytes) | part | parts | bytes of the part, little-endian
 *
 * The number rises with each text of a kind, and its parts share it. The checksum covers everything behind it.
 */
const headBytes = 32;
const version = 2;
const magic = 0x4d_52_46_57;

export interface Text {
  number: number;
  bytes: Uint8Array<ArrayBuffer>;
  /** Where its parts lie. */
  places: number[];
}

/** Cuts a text into frames. */
export function framesOf(number: number, text: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const room = blobBytesMax - headBytes;
  const parts = Math.max(1, Math.ceil(text.length / room));
  return Array.from({ length: parts }, (_, part) => {
    const bytes = text.subarray(part * room, (part + 1) * room);
    const frame = new Uint8Array(headBytes + bytes.length);
    const view = new DataView(frame.buffer);
    view.setUint32(0, magic, true);
    view.setUint32(4, version, true);
    view.setFloat64(12, number, true);
    view.setUint32(20, part, true);
    view.setUint32(24, parts, true);
    view.setUint32(28, bytes.length, true);
    frame.set(bytes, headBytes);
    view.setUint32(8, checksum(frame), true);
    return frame;
  });
}

/** Puts frames together again. */
export class Assembly {
  /** Places of what is no frame, or not as it was written. */
  readonly bad: number[] = [];
  readonly #texts = new Map<number, { parts: (Uint8Array | undefined)[]; places: number[] }>();

  add(place: number, frame: Uint8Array<ArrayBuffer> | undefined): void {
    if (!frame || !isFrame(frame)) {
      this.bad.push(place);
      return;
    }
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const [number, part, parts] = [view.getFloat64(12, true), view.getUint32(20, true), view.getUint32(24, true)];
    let text = this.#texts.get(number);
    if (!text) this.#texts.set(number, (text = { parts: Array.from({ length: parts }), places: [] }));
    text.parts[part] = frame.subarray(headBytes);
    text.places.push(place);
  }

  /** The texts of which every part is there, by number. Remains of older ones, partly written over, are passed over. */
  texts(): Text[] {
    const whole: Text[] = [];
    for (const [number, { parts, places }] of this.#texts) {
      if (parts.every((part) => part !== undefined)) whole.push({ number, bytes: joined(parts), places });
    }
    return whole.sort((a, b) => a.number - b.number);
  }
}

function isFrame(frame: Uint8Array<ArrayBuffer>): boolean {
  if (frame.length < headBytes) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== magic || view.getUint32(4, true) !== version) return false;
  if (view.getUint32(28, true) !== frame.length - headBytes) return false;
  return view.getUint32(20, true) < view.getUint32(24, true) && view.getUint32(8, true) === checksum(frame);
}

function joined(parts: (Uint8Array | undefined)[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part!.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part!, at);
    at += part!.length;
  }
  return bytes;
}

/** FNV-1a, word by word, of everything behind the checksum: it finds what storage mangles; seals find what people do. */
function checksum(frame: Uint8Array<ArrayBuffer>): number {
  let hash = 0x811c9dc5;
  const words = (frame.length - 12) >>> 2;
  const view = new DataView(frame.buffer, frame.byteOffset + 12);
  for (let i = 0; i < words; i++) hash = Math.imul(hash ^ view.getUint32(4 * i, true), 0x01000193);
  for (let i = 12 + 4 * words; i < frame.length; i++) hash = Math.imul(hash ^ frame[i], 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
