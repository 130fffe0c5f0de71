import { presets } from "../core/detectors/thresholds.ts";
import type { ChosenConfiguration, ShownConfiguration } from "./client.ts";
import { command, oneOf } from "./command.ts";
import { configPage } from "./config-page.ts";
import { connect, connectionArgs } from "./connect.ts";
import { Failure } from "./failure.ts";
import { table } from "./table.ts";

export const config = command({
  meta: { name: "config", description: "Show what detectors judge by, or change it" },
  args: {
    ...connectionArgs,
    set: { type: "string", description: "A threshold, as in port_scan.ports_min=20; may be repeated, or by commas" },
    unset: { type: "string", description: "A threshold that goes back to the preset's; likewise" },
    preset: { type: "string", description: `${presets.join(", ")}: for all that is not set` },
    json: { type: "boolean", description: "As the API answers it" },
    markdown: { type: "boolean", description: "The page docs/config.md, without a server" },
  },
  async run({ args, rawArgs }) {
    if (args.markdown) {
      process.stdout.write(configPage());
      return;
    }
    const preset = args.preset === undefined ? undefined : oneOf("preset", args.preset, presets);
    const set = listed(rawArgs, "set").map(assignmentOf);
    const unset = listed(rawArgs, "unset").map((text) => nameOf("unset", text));
    const client = connect(args);
    let shown = await client.configuration();
    if (preset || set.length + unset.length > 0) {
      const chosen = chosenIn(shown);
      for (const [threat, name] of unset) delete chosen.thresholds[threat]?.[name];
      for (const [[threat, name], value] of set) (chosen.thresholds[threat] ??= {})[name] = value;
      shown = await client.replaceConfiguration(shown.version, { ...chosen, preset: preset ?? chosen.preset });
    }
    console.log(args.json ? JSON.stringify(shown, null, 1) : pageOf(shown));
  },
});

/** Every value of a flag that may be repeated, of which citty keeps the last. */
function listed(rawArgs: readonly string[], flag: string): string[] {
  const values = rawArgs.flatMap((arg, i) => {
    if (arg === `--${flag}`) return rawArgs[i + 1] ?? [];
    return arg.startsWith(`--${flag}=`) ? arg.slice(flag.length + 3) : [];
  });
  return values.flatMap((value) => value.split(","));
}

type Name = readonly [threat: string, name: string];

function nameOf(flag: string, text: string): Name {
  const [, threat, name] = /^([a-z0-9_]+)\.([a-z0-9_]+)$/.exec(text) ?? [];
  if (name === undefined) throw new Failure(`--${flag} takes a threshold, as in port_scan.ports_min, not ${text}.`, 2);
  return [threat, name];
}

function assignmentOf(text: string): [Name, number] {
  const [name, value = ""] = text.split("=");
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number))
    throw new Failure(`--set takes a threshold and a number, as in port_scan.ports_min=20, not ${text}.`, 2);
  return [nameOf("set", name), number];
}

/** What was chosen, without what follows from it. */
function chosenIn({ preset, thresholds }: ShownConfiguration): ChosenConfiguration {
  const chosen: ChosenConfiguration = { preset, thresholds: {} };
  for (const [threat, names] of Object.entries(thresholds)) {
    const set = Object.entries(names).filter(([, threshold]) => threshold.chosen);
    if (set.length > 0) chosen.thresholds[threat] = Object.fromEntries(set.map(([name, { value }]) => [name, value]));
  }
  return chosen;
}

function pageOf({ version, preset, thresholds, updated_at, updated_by }: ShownConfiguration): string {
  const since = updated_at === null ? "nothing was ever chosen" : `chosen ${updated_at} by ${updated_by}`;
  const rows = Object.entries(thresholds).flatMap(([threat, names]) =>
    Object.entries(names).map(([name, { value, chosen, default: byDefault, min, max, unit }]) => {
      return [`${threat}.${name}`, value, chosen ? "set" : "", byDefault, `${min} to ${max}`, unit];
    }),
  );
  const head = ["threshold", "value", "", "default", "range", "unit"];
  return `version ${version}, preset ${preset}, ${since}\n\n${table(head, rows)}`;
}
