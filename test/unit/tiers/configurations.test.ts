import { describe, expect, it } from "vitest";
import { readConfig } from "../../../src/config.ts";
import type { StoredConfiguration } from "../../../src/storage/configurations.ts";
import { Configurations, namedConfiguration } from "../../../src/tiers/configurations.ts";
import { LocalClock } from "../../../src/tiers/local-parts.ts";

const env = { MASTER_KEY: Buffer.alloc(32).toString("base64"), TENANTS: { acme: {}, lab: {} } };
const { tenants } = readConfig(env);
const acme = tenants.get("acme")!;

const stored = (version: number): StoredConfiguration => ({
  version,
  preset: "quiet",
  thresholds: {},
  createdAtMs: 0,
  createdBy: "k",
});

/** An isolate over a database whose answers the test decides. */
function isolate() {
  const clock = new LocalClock();
  const messages: string[] = [];
  const state = { version: 0, reads: 0, isAway: false, isStuck: false };
  const configurations = new Configurations({
    clock,
    log: ({ message }) => void messages.push(message),
    waitUntil: () => {},
    store: {
      async list() {
        state.reads++;
        if (state.isStuck) await new Promise(() => {});
        if (state.isAway) throw new Error("away");
        return state.version > 0 ? [stored(state.version)] : [];
      },
      async add(_, version) {
        state.version = version + 1;
        return stored(state.version);
      },
    },
  });
  const version = async () => (await configurations.inForce(acme)).version;
  const after = (ms: number) => clock.set(clock.nowMs() + ms);
  return { configurations, clock, state, messages, version, after };
}

describe("the configuration in force", () => {
  it("is asked for again after five seconds, and not before", async () => {
    const { state, version, after } = isolate();
    expect(await version()).toBe(0);
    state.version = 1;
    after(4999);
    expect(await version()).toBe(0);
    expect(state.reads).toBe(1);
    after(1);
    expect(await version()).toBe(1);
    expect(state.reads).toBe(2);
  });

  it("is the last known one while the database is away; it is not asked all the time", async () => {
    const { state, version, after, messages } = isolate();
    state.isAway = true;
    expect(await version()).toBe(0);
    after(5000);
    Object.assign(state, { isAway: false, version: 3 });
    expect(await version()).toBe(3);
    after(5000);
    state.isAway = true;
    expect(await version()).toBe(3);
    expect(await version()).toBe(3);
    expect(state.reads).toBe(3);
    expect(messages).toHaveLength(2);
  });

  it("is the last known one where the database takes too long", async () => {
    const { state, version, after } = isolate();
    state.version = 3;
    expect(await version()).toBe(3);
    after(5000);
    state.isStuck = true;
    const waiting = version();
    after(500);
    expect(await waiting).toBe(3);
    expect(await version()).toBe(3);
    expect(state.reads).toBe(2);
  });

  it("never goes back, and is known at once where it was replaced", async () => {
    const { configurations, state, version, after } = isolate();
    expect(await version()).toBe(0);
    await configurations.replace(acme, 0, { preset: "quiet", thresholds: {} }, { kid: "k" });
    expect(await version()).toBe(1);
    expect(state.reads).toBe(1);
    state.version = 0;
    after(5000);
    expect(await version()).toBe(1);
  });

  it("remembers no more than a thousand tenants", async () => {
    const { configurations, state } = isolate();
    for (let i = 0; i < 1001; i++) await configurations.inForce({ ...acme, id: `t${i}` });
    await configurations.inForce({ ...acme, id: "t1000" });
    expect(state.reads).toBe(1001);
    await configurations.inForce({ ...acme, id: "t0" });
    expect(state.reads).toBe(1002);
  });
});

describe("the name of a configuration", () => {
  const nameOf = (more: object, version = 1, thresholds = {}, preset: "quiet" | "balanced" = "balanced") =>
    namedConfiguration(readConfig({ ...env, ...more }).tenants.get("acme")!, { version, preset, thresholds }).name;
  const digestOf = (...args: Parameters<typeof nameOf>) => nameOf(...args).split("-")[1];

  it("is the version, and a digest of all that verdicts depend on", () => {
    expect(nameOf({}, 7)).toMatch(/^7-[0-9a-f]{16}$/);
    expect(digestOf({}, 7)).toBe(digestOf({}));
    const others = [
      digestOf({ LATENESS_ALLOWANCE_S: "60" }),
      digestOf({ TENANTS: '{"acme":{"internal":["10.0.0.0/9"]}}' }),
      digestOf({}, 1, { port_scan: { ports_min: 99 } }),
      digestOf({}, 1, {}, "quiet"),
    ];
    expect(new Set([...others, digestOf({})]).size).toBe(5);
  });

  it("has the same digest where the same is in force, however it was chosen", () => {
    const { ports_min } = { ports_min: 15 };
    expect(digestOf({}, 2, { port_scan: { ports_min } })).toBe(digestOf({}, 1));
  });
});
