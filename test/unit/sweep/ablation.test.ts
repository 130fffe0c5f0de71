import { describe, expect, test } from "vitest";
import { tierTwoPart, withTierTwo } from "../../../src/cli/ablation-page.ts";
import type { Verdict } from "../../../src/core/verdict.ts";
import { judge } from "../../sweep/judge.ts";
import type { Alert } from "../../sweep/play.ts";
import { makeScene } from "../../sweep/scene.ts";
import { novelBehaviour } from "../../sweep/sections/novel-behaviour.ts";

/** Work that is the same in both worlds: once is enough. */
const isWorkerd = globalThis.navigator?.userAgent === "Cloudflare-Workers";

const hourMs = 3_600_000;

describe.skipIf(isWorkerd)("a host that begins something new", () => {
  const scene = makeScene({ section: novelBehaviour, seed: 1, background: "office", quick: true });
  const { world, owners } = scene;
  const number = owners.findIndex((owner) => owner && "planted" in owner);
  const owner = owners[number];
  if (!owner || !("planted" in owner)) throw new Error("nothing is planted");
  const { startMs, endMs, entities, peers } = owner.planted;
  const entity = world.textOf(entities[0]);

  function alertAt(fromMs: number, about: Partial<Verdict> = {}): Alert {
    const window = { startMs: fromMs, endMs: fromMs + hourMs };
    const verdict = { threat: "anomaly", entity, window, severity: "medium", summary: "", peers: [], ...about };
    return { verdict: verdict as Verdict, said: [{ verdict: verdict as Verdict, batch: 1, atMs: fromMs + hourMs }] };
  }

  function judged(...alerts: Alert[]) {
    const { points, falseAlarms } = judge(novelBehaviour, scene, {
      alerts,
      shown: [],
      flows: 0,
      late: 0,
      batchEndsMs: [],
      seconds: 0,
    });
    return { found: points.filter(({ found }) => found).length, kinds: falseAlarms.map(({ kind }) => kind) };
  }

  test("is found by a verdict of any threat while it does it", () => {
    expect(judged(alertAt(startMs)).found).toBe(1);
    expect(judged(alertAt(startMs, { threat: "exfiltration" })).found).toBe(1);
    expect(judged().found).toBe(0);
  });

  test("is not found, but falsely raised, by one about other hours", () => {
    for (const atMs of [startMs - 2 * hourMs, endMs!]) {
      expect(judged(alertAt(atMs))).toEqual({ found: 0, kinds: ["host of a point"] });
    }
  });

  test("is falsely raised by a detector's verdict about somebody whom it called before", () => {
    const others = { peers: [{ address: "192.0.2.1", port: 443, protocol: "tcp" }] };
    expect(judged(alertAt(startMs, { threat: "c2_beacon", ...others }))).toEqual({
      found: 0,
      kinds: ["host of a point"],
    });
    expect(judged(alertAt(startMs, others)).found).toBe(1);
  });

  test("is found by a verdict that was about somebody else before it began", () => {
    const peerOf = (address: string) => [{ address, port: 443, protocol: "tcp" }];
    const begun = alertAt(startMs, { threat: "c2_beacon", peers: peerOf(world.textOf(peers![0])) });
    const before = { verdict: { ...begun.verdict, peers: peerOf("192.0.2.1") }, batch: 0, atMs: startMs - 1 };
    expect(judged({ ...begun, said: [before, ...begun.said] }).found).toBe(1);
    expect(judged({ ...begun, said: [{ ...before, verdict: begun.verdict }, ...begun.said] }).found).toBe(0);
  });

  test("beside it, a look-alike is raised falsely under its own name", () => {
    const other = owners.findIndex((one) => one && "kind" in one && one.kind === "night shift");
    const host = Array.from({ length: world.flows.addresses.count }, (_, i) => world.textOf(i)).find((text) => {
      return world.ownersOf(text).includes(other);
    });
    expect(judged(alertAt(startMs, { entity: host! })).kinds).toEqual(["night shift"]);
  });
});

test("the page's last part outlives what is written before it, and is replaced by its like", () => {
  const part = "## What tier 2 adds\n\nSome.\n";
  const page = withTierTwo("# Quality\n\nFigures.\n", part);
  expect(page).toBe(`# Quality\n\nFigures.\n\n${part}`);
  expect(tierTwoPart(page)).toBe(part);
  expect(withTierTwo("# Quality\n\nOthers.\n", tierTwoPart(page))).toBe(`# Quality\n\nOthers.\n\n${part}`);
  expect(withTierTwo(page, "## What tier 2 adds\n\nMore.\n")).toBe(
    "# Quality\n\nFigures.\n\n## What tier 2 adds\n\nMore.\n",
  );
  expect(withTierTwo("# Quality\n", "")).toBe("# Quality\n");
});
