import { describe, expect, it } from "vitest";
import { choiceIn } from "../../../src/api/config-body.ts";
import { configurationJson } from "../../../src/api/config-json.ts";
import type { Detector } from "../../../src/core/detectors/detector.ts";
import { apiName, settingsOf, type Thresholds } from "../../../src/core/detectors/thresholds.ts";

interface Settings {
  portsMin: number;
  shareMin: number;
}

const thresholds: Thresholds<Settings> = {
  portsMin: {
    unit: "ports",
    default: 15,
    min: 5,
    max: 100,
    isWhole: true,
    quiet: 30,
    raising: "quieter",
    cost: "Less.",
  },
  shareMin: { unit: "share", default: 0.5, min: 0.1, max: 1, raising: "quieter", cost: "Less." },
};
const detectors = [{ id: "port_scan", thresholds }] as unknown as readonly Detector[];

const checked = (body: unknown) => choiceIn(typeof body === "string" ? body : JSON.stringify(body), detectors);

describe("the body of a configuration", () => {
  it.each([
    [{}, { preset: "balanced", thresholds: {} }],
    [{ preset: "quiet" }, { preset: "quiet", thresholds: {} }],
    [{ thresholds: { port_scan: {} } }, { preset: "balanced", thresholds: { port_scan: {} } }],
    [
      { preset: "sensitive", thresholds: { port_scan: { ports_min: 5, share_min: 1 } } },
      { preset: "sensitive", thresholds: { port_scan: { ports_min: 5, share_min: 1 } } },
    ],
  ])("%j is one", (body, choice) => {
    expect(checked(body)).toEqual(choice);
  });

  it.each([
    ["", "", "is not JSON"],
    ["{", "", "is not JSON"],
    ["null", "", "must be an object"],
    [[], "", "must be an object"],
    [{ version: 3 }, "/version", "is not known: known are preset, thresholds"],
    [{ "a/b~c": 3 }, "/a~1b~0c", "is not known: known are preset, thresholds"],
    [{ preset: "loud" }, "/preset", "must be one of quiet, balanced, sensitive"],
    [{ preset: null }, "/preset", "must be one of quiet, balanced, sensitive"],
    [{ thresholds: [] }, "/thresholds", "must be an object"],
    [{ thresholds: { rain: {} } }, "/thresholds/rain", "is no threat: known are port_scan"],
    ['{"thresholds":{"__proto__":{}}}', "/thresholds/__proto__", "is no threat: known are port_scan"],
    [{ thresholds: { port_scan: 3 } }, "/thresholds/port_scan", "must be an object"],
    [
      { thresholds: { port_scan: { portsMin: 20 } } },
      "/thresholds/port_scan/portsMin",
      "is not known: known are ports_min, share_min",
    ],
    [
      { thresholds: { port_scan: { ports_min: "20" } } },
      "/thresholds/port_scan/ports_min",
      "must be a number, in ports",
    ],
    [
      { thresholds: { port_scan: { ports_min: null } } },
      "/thresholds/port_scan/ports_min",
      "must be a number, in ports",
    ],
    [{ thresholds: { port_scan: { ports_min: 20.5 } } }, "/thresholds/port_scan/ports_min", "must be a whole number"],
    [{ thresholds: { port_scan: { ports_min: 4 } } }, "/thresholds/port_scan/ports_min", "must be 5 to 100"],
    ['{"thresholds":{"port_scan":{"share_min":1e999}}}', "/thresholds/port_scan/share_min", "must be 0.1 to 1"],
  ])("%j is none: %s %s", (body, pointer, detail) => {
    expect(checked(body)).toEqual({ errors: [{ pointer, detail }] });
  });

  it("is told all that is wrong with it at once", () => {
    const wrong = checked({
      preset: 1,
      thresholds: { port_scan: { ports_min: 0, share_min: 7, x: 1 }, rain: 1 },
      y: 1,
    });
    expect("errors" in wrong && wrong.errors.map(({ pointer }) => pointer)).toEqual([
      "/y",
      "/preset",
      "/thresholds/port_scan/ports_min",
      "/thresholds/port_scan/share_min",
      "/thresholds/port_scan/x",
      "/thresholds/rain",
    ]);
  });
});

describe("a configuration as it is shown", () => {
  it("tells each value in force, and whether it was chosen", () => {
    const choice = { preset: "quiet", thresholds: { port_scan: { share_min: 0.7 } } } as const;
    const shown = configurationJson({ ...choice, version: 3, createdAtMs: 0, createdBy: "k" }, detectors);
    expect(shown).toMatchObject({
      version: 3,
      preset: "quiet",
      updated_at: "1970-01-01T00:00:00.000Z",
      updated_by: "k",
    });
    expect(shown.thresholds["port_scan"]).toEqual({
      ports_min: {
        value: 30,
        unit: "ports",
        default: 15,
        min: 5,
        max: 100,
        whole: true,
        raising: "quieter",
        cost: "Less.",
        chosen: false,
      },
      share_min: {
        value: 0.7,
        unit: "share",
        default: 0.5,
        min: 0.1,
        max: 1,
        whole: false,
        raising: "quieter",
        cost: "Less.",
        chosen: true,
      },
    });
    expect(Object.keys(shown.thresholds["port_scan"])).toEqual(Object.keys(settingsOf(thresholds)).map(apiName));
  });
});
