import { bucketMs } from "../flow/contacts.ts";
import { ContactSeries } from "./contact-series.ts";

/** Requests up to which a pair is small: it has shown no rhythm yet, and its ring holds all of them. */
export const smallRequestsMax = 3;

/** Fields of at most six bytes, three starts of three of them, six ports. */
const scratch = new Uint8Array(256);

/**
 * A small series as bytes: its sums, source ports and starts as numbers of 7 bits a byte. It takes 20 to 40 bytes, where
 * as an object it takes 400. `high` is the upper half of an IPv6 address.
 */
export function packSmall(series: ContactSeries, high: readonly [number, number]): Uint8Array {
  const { ring } = series;
  let end = 0;
  const put = (value: number) => {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) scratch[end++] = (rest % 128) | 128;
    scratch[end++] = rest;
  };
  put(series.requests);
  put(series.failed);
  put(series.sourceBytes);
  put(series.targetBytes);
  put(series.sourcePackets);
  put(series.durationMs);
  put(series.samplingRate);
  put(high[0]);
  put(high[1]);
  for (let i = 0; i < ring.size; i++) {
    put(ring.bucketAt(i));
    // Before the end of its bucket: records are short.
    const before = (ring.bucketAt(i) + 1) * bucketMs - ring.timeAt(i);
    put(before >= 0 ? 2 * before : -2 * before - 1);
    put(ring.bytesAt(i));
  }
  for (let bit = 0; bit < 32; bit++) if (series.portsLow & (1 << bit)) put(bit);
  for (let bit = 0; bit < 32; bit++) if (series.portsHigh & (1 << bit)) put(32 + bit);
  return scratch.subarray(0, end);
}

export function unpackSmall(bytes: Uint8Array): { series: ContactSeries; high: readonly [number, number] } {
  let at = 0;
  const get = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const series = new ContactSeries();
  series.requests = get();
  series.failed = get();
  series.sourceBytes = get();
  series.targetBytes = get();
  series.sourcePackets = get();
  series.durationMs = get();
  series.samplingRate = get();
  const high = [get(), get()] as const;
  for (let i = 0; i < series.requests; i++) {
    const bucket = get();
    const before = get();
    const atMs = (bucket + 1) * bucketMs - (before % 2 === 0 ? before / 2 : -(before + 1) / 2);
    series.ring.insert(bucket, atMs, get());
  }
  while (at < bytes.length) {
    const bit = get();
    if (bit < 32) series.portsLow |= 1 << bit;
    else series.portsHigh |= 1 << (bit - 32);
  }
  return { series, high };
}
