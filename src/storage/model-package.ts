import type { ModelPackage } from "../inference/model.ts";

/**
 * A version of a model as R2 and KV have it: all of its parts under one hash.
 *
 *     "weirmdl1" │ length of the JSON, uint32 little-endian │ JSON: all members but `onnx` │ onnx
 */
const magic = new TextEncoder().encode("weirmdl1");
const headBytes = magic.length + 4;

export function packed({ onnx, ...rest }: ModelPackage): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(rest));
  const bytes = new Uint8Array(headBytes + json.length + onnx.length);
  bytes.set(magic);
  new DataView(bytes.buffer).setUint32(magic.length, json.length, true);
  bytes.set(json, headBytes);
  bytes.set(onnx, headBytes + json.length);
  return bytes;
}

/** Of bytes whose hash was found right, so of what `packed` made. @throws Error if they are of another form. */
export function unpacked(bytes: Uint8Array<ArrayBuffer>): ModelPackage {
  if (bytes.length < headBytes || magic.some((byte, i) => bytes[i] !== byte))
    throw new Error("not a packed model of this form");
  const end = headBytes + new DataView(bytes.buffer, bytes.byteOffset).getUint32(magic.length, true);
  const json = new TextDecoder().decode(bytes.subarray(headBytes, end));
  // A copy: so the rest does not stay in memory with it.
  return { ...(JSON.parse(json) as Omit<ModelPackage, "onnx">), onnx: bytes.slice(end) };
}
