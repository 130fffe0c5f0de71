import { describe, expect, it } from "vitest";
import { KeyProviderError, localKeyProvider } from "../../../src/security/key-provider.ts";

const [one, two] = [1, 2].map((n) => ({ id: `k${n}`, key: new Uint8Array(32).fill(n) }));
const dataKey = new Uint8Array(32).map((_, i) => i);

describe("localKeyProvider", () => {
  it("unwraps what it wrapped, of 32 bytes and of 40", async () => {
    const provider = localKeyProvider([one]);
    for (const key of [dataKey, new Uint8Array(40).fill(9)]) {
      const wrapped = await provider.wrap(key);
      expect(wrapped.kekId).toBe("k1");
      expect(wrapped.bytes).toHaveLength(key.length + 8);
      expect(Buffer.from(wrapped.bytes).includes(Buffer.from(key.subarray(0, 8)))).toBe(false);
      expect(await provider.unwrap(wrapped)).toEqual(key);
    }
  });

  it("wraps with the first key and unwraps with each", async () => {
    const wrapped = await localKeyProvider([one]).wrap(dataKey);
    const rotated = localKeyProvider([two, one]);
    expect(await rotated.unwrap(wrapped)).toEqual(dataKey);
    expect((await rotated.wrap(dataKey)).kekId).toBe("k2");
  });

  it("says which key it lacks, or that it is another, and nothing of either", async () => {
    const wrapped = await localKeyProvider([one]).wrap(dataKey);
    await expect(localKeyProvider([two]).unwrap(wrapped)).rejects.toThrow(KeyProviderError);
    await expect(localKeyProvider([two]).unwrap(wrapped)).rejects.toThrow("k1");
    await expect(localKeyProvider([{ ...two, id: "k1" }]).unwrap(wrapped)).rejects.toThrow(KeyProviderError);
    const changed = wrapped.bytes.map((byte, i) => (i === 3 ? byte ^ 1 : byte));
    await expect(localKeyProvider([one]).unwrap({ ...wrapped, bytes: changed })).rejects.toThrow(KeyProviderError);
  });

  it("wraps alike in every runtime: stored keys depend on it", async () => {
    const { bytes } = await localKeyProvider([one]).wrap(dataKey);
    expect(Buffer.from(bytes).toString("hex")).toMatchInlineSnapshot(
      `"ddc5a1f5b9e4d996ee4c95e640cd859965e63ff0a0f3d7712281ece2bc71d6411ea9d562cc578294"`,
    );
  });
});
