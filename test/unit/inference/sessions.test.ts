import { describe, expect, it } from "vitest";
import { ModelInferenceError, type ModelPackage } from "../../../src/inference/model.ts";
import { Sessions } from "../../../src/inference/sessions.ts";
import { forest } from "../../support/inference-parts.ts";
import { runTinyForest, tinySequence, withBytes } from "../../support/tiny-models.ts";

const versions = [1, 2, 3].map((byte) => withBytes(forest, new Uint8Array([byte])));
const nameOf = (onnx: Uint8Array) => `v${onnx[0]}`;

/** Sessions whose opening the test lets happen. */
function isolate(fails: ReadonlySet<string> = new Set()) {
  const [opened, released]: string[][] = [[], []];
  const gates: (() => void)[] = [];
  const pending: Promise<unknown>[] = [];
  const sessions = new Sessions({
    log: () => {},
    waitUntil: (promise) => void pending.push(promise),
    open: async (onnx) => {
      const name = nameOf(onnx);
      opened.push(name);
      await new Promise<void>((resolve) => gates.push(resolve));
      if (fails.has(name)) throw new ModelInferenceError(`${name} does not open`);
      return { run: runTinyForest, release: async () => void released.push(name) };
    },
  });
  const go = async () => {
    while (gates.length > 0) gates.shift()!();
    await new Promise((resolve) => setTimeout(resolve));
  };
  const use = async (pkg: ModelPackage) => {
    const used = sessions.use(pkg, async () => pkg.sha256);
    used.catch(() => {});
    await go();
    return used;
  };
  return { sessions, opened, released, go, use };
}

describe("the sessions of an isolate", () => {
  it("are opened once for all who ask meanwhile", async () => {
    const { sessions, opened, go } = isolate();
    sessions.warm(versions[0], () => {});
    sessions.warm(versions[0], () => {});
    const used = [0, 1].map((i) => sessions.use(versions[0], async () => i));
    expect(sessions.isOpen(versions[0])).toBe(false);
    await go();
    expect(await Promise.all(used)).toEqual([0, 1]);
    expect(sessions.isOpen(versions[0])).toBe(true);
    expect(opened).toEqual(["v1"]);
  });

  it("are two of a model at most, those used last; what goes is released once", async () => {
    const { use, opened, released } = isolate();
    await use(versions[0]);
    await use(versions[1]);
    await use(versions[0]);
    await use(tinySequence());
    await use(versions[2]);
    expect(released).toEqual(["v2"]);
    await use(versions[0]);
    expect(opened.filter((name) => name === "v1")).toHaveLength(1);
    await use(versions[1]);
    expect(released).toEqual(["v2", "v3"]);
  });

  it("are not released under a call", async () => {
    const { sessions, use, released, go } = isolate();
    let finish: (() => void) | undefined;
    const slow = sessions.use(versions[0], () => new Promise<void>((resolve) => (finish = resolve)));
    await go();
    await use(versions[1]);
    await use(versions[2]);
    expect(released).toEqual([]);
    finish!();
    await slow;
    expect(released).toEqual(["v1"]);
  });

  it("that nobody waits for any more are released as soon as they open", async () => {
    const { sessions, use, released } = isolate();
    sessions.warm(versions[0], () => {});
    sessions.warm(versions[1], () => {});
    await use(versions[2]);
    expect(released).toEqual(["v1"]);
  });

  it("that do not open are said so, remembered, and tried again", async () => {
    const fails = new Set(["v1"]);
    const { sessions, use, opened, go } = isolate(fails);
    const errors: unknown[] = [];
    sessions.warm(versions[0], (error) => errors.push(error));
    await go();
    expect(errors).toMatchObject([{ message: "v1 does not open" }]);
    expect(sessions.hasFailed(versions[0])).toBe(true);
    await expect(use(versions[0])).rejects.toThrow("v1 does not open");
    fails.clear();
    expect(await use(versions[0])).toBe(versions[0].sha256);
    expect(sessions.hasFailed(versions[0])).toBe(false);
    expect(opened).toEqual(["v1", "v1", "v1"]);
  });
});
