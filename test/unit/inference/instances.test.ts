import { describe, expect, it } from "vitest";
import {
  afterCheck,
  breakerName,
  firstInstances,
  Instances,
  newInstance,
  type Instance,
} from "../../../src/inference/instances.ts";
import { stoppedClock } from "../../support/inference-parts.ts";

const wish = {
  id: "far",
  model: "isolation_forest",
  kind: "remote",
  url: "https://far.example",
  weight: 2,
  bearer: null,
} as const;
const well = { isWell: true, load: 3, verified: "ab" } as const;
const ill = { isWell: false, error: "HTTP 500" } as const;

function after(checks: readonly (typeof well | typeof ill)[], instance: Instance = newInstance(wish, null)): Instance {
  return checks.reduce((one, found, i) => afterCheck(one, found, 1000 + i), instance);
}

describe("health", () => {
  it("has to be shown once by what runs elsewhere", () => {
    expect(newInstance(wish, null).health).toBe("unhealthy");
    expect(newInstance({ ...wish, kind: "runner" }, null).health).toBe("unhealthy");
    expect(newInstance({ ...wish, kind: "inline" }, null).health).toBe("healthy");
    expect(after([ill])).toMatchObject({ health: "unhealthy", failures: 1, error: "HTTP 500", lastCheckMs: 1000 });
    expect(after([ill, well])).toMatchObject({ health: "healthy", failures: 0, error: null, load: 3, verified: "ab" });
  });

  it("goes with the third failure in a row, not with the second or with three in all", () => {
    expect(after([well, ill, ill]).health).toBe("healthy");
    expect(after([well, ill, ill, ill]).health).toBe("unhealthy");
    expect(after([well, ill, ill, well, ill, ill]).health).toBe("healthy");
    expect(after([well, ill, ill, ill, ill, well]).health).toBe("healthy");
  });
});

describe("a breaker's name", () => {
  it("is the version's where models run inline, else the instance's", () => {
    expect(breakerName({ ...wish, kind: "inline" }, "1f2e3d4c5b6a")).toBe("model/isolation_forest/1f2e3d4c5b6a");
    expect(breakerName({ ...wish, kind: "runner" }, "1f2e3d4c5b6a")).toBe("model/isolation_forest/far");
    expect(breakerName(wish, "1f2e3d4c5b6a")).toBe("remote/far");
  });
});

describe("an isolate's list", () => {
  function isolate(list: () => Promise<Instance[]>) {
    const clock = stoppedClock();
    let reads = 0;
    const log: string[] = [];
    const object = () => ({ list: () => (reads++, list()) });
    const instances = new Instances({ clock, log: ({ message }) => void log.push(message), object });
    const ids = async () => (await instances.of("isolation_forest")).map(({ id }) => id);
    return { instances, clock, ids, log, reads: () => reads };
  }

  it("is read again after five seconds, and as soon as this isolate changed it", async () => {
    const all = [newInstance(wish, null)];
    const { instances, clock, ids, reads } = isolate(async () => [...all]);
    expect(await ids()).toEqual(["far"]);
    clock.now += 4_999;
    all.push(
      newInstance({ ...wish, id: "near" }, null),
      newInstance({ ...wish, id: "other", model: "lstm_autoencoder" }, null),
    );
    expect(await ids()).toEqual(["far"]);
    expect(reads()).toBe(1);
    clock.now += 1;
    expect(await ids()).toEqual(["far", "near"]);
    instances.changed();
    await ids();
    expect(reads()).toBe(3);
  });

  it("stays what it was while the object fails or hangs; at first every model runs inline", async () => {
    let list = (): Promise<Instance[]> => Promise.reject(new Error("Network connection lost"));
    const { clock, ids, log } = isolate(() => list());
    expect(await ids()).toEqual([firstInstances[0].id]);
    clock.now += 5_000;
    list = async () => [newInstance(wish, null)];
    expect(await ids()).toEqual(["far"]);
    clock.now += 5_000;
    list = () => new Promise(() => {});
    expect(await ids()).toEqual(["far"]);
    expect(log).toEqual([0, 1].map(() => "model instances not read: the last known stay in force"));
  });
});
