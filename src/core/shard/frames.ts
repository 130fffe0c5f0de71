import { blobBytesMax } from "./storage.ts";

/**
 * A text of any length as blobs of bounded length, each of which can be verified by itself.
 *
 *     magic | version | checksum | name | number (8 bytes) | part | parts | bytes of the part, little-endian
 *
 * `name` tells texts of one kind apart, `number` rises with each new one of the same name; the parts of one text share
 * both. The checksum covers everything behind it.
 */
const headBytes = 36;
const version = 1;
const magic = 0x4d_52_46_57;

export interface FrameName {
  name: number;
  number: number;
}

export interface Text extends FrameName {
  bytes: Uint8Array<ArrayBuffer>;
  /** Where its parts lie. */
  places: number[];
}

/** Cuts a text into frames. */
export function framesOf({ name, number }: FrameName, text: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const room = blobBytesMax - headBytes;
  const parts = Math.max(1, Math.ceil(text.length / room));
  return Array.from({ length: parts }, (_, part) => {
    const bytes = text.subarray(part * room, (part + 1) * room);
    const frame = new Uint8Array(headBytes + bytes.length);
    const view = new DataView(frame.buffer);
    view.setUint32(0, magic, true);
    view.setUint32(4, version, true);
    view.setUint32(12, name, true);
    view.setFloat64(16, number, true);
    view.setUint32(24, part, true);
    view.setUint32(28, parts, true);
    view.setUint32(32, bytes.length, true);
    frame.set(bytes, headBytes);
    view.setUint32(8, checksum(frame), true);
    return frame;
  });
}

/** Puts frames together again. */
export class Assembly {
  /** Places of what is no frame, or not as it was written. */
  readonly bad: number[] = [];
  readonly #parts = new Map<
    string,
    { number: number; name: number; parts: (Uint8Array | undefined)[]; places: number[] }
  >();

  add(place: number, frame: Uint8Array<ArrayBuffer> | undefined): void {
    if (!frame || !isFrame(frame)) {
      this.bad.push(place);
      return;
    }
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const [name, number, part, parts] = [
      view.getUint32(12, true),
      view.getFloat64(16, true),
      view.getUint32(24, true),
      view.getUint32(28, true),
    ];
    const key = `${name} ${number}`;
    let text = this.#parts.get(key);
    if (!text) this.#parts.set(key, (text = { name, number, parts: Array.from({ length: parts }), places: [] }));
    text.parts[part] = frame.subarray(headBytes);
    text.places.push(place);
  }

  /** The texts of which every part is there, by number. Remains of older ones, partly written over, are passed over. */
  texts(): Text[] {
    const whole: Text[] = [];
    for (const { name, number, parts, places } of this.#parts.values()) {
      if (parts.every((part) => part !== undefined)) whole.push({ name, number, bytes: joined(parts), places });
    }
    return whole.sort((a, b) => a.number - b.number);
  }
}

function isFrame(frame: Uint8Array<ArrayBuffer>): boolean {
  if (frame.length < headBytes) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== magic || view.getUint32(4, true) !== version) return false;
  if (view.getUint32(32, true) !== frame.length - headBytes) return false;
  return view.getUint32(24, true) < view.getUint32(28, true) && view.getUint32(8, true) === checksum(frame);
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
