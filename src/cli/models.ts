import { basename } from "node:path";
import { defineCommand } from "citty";
import { modelNames, type ModelName } from "../inference/model.ts";
import { folders } from "../inference/package-files.ts";
import { modelIn } from "./built-in-models.ts";
import type { ShownDrift, ShownModel, ShownModelVersion } from "./client.ts";
import { command, oneOf } from "./command.ts";
import { connectAsOperator } from "./connect.ts";
import { Failure } from "./failure.ts";
import { shown, table, thousands } from "./table.ts";
import { operatorArgs } from "./tenants.ts";

const json = { type: "boolean", description: "As the API answers it" } as const;
const name = { type: "positional", required: true, description: modelNames.join(", ") } as const;
const version = {
  type: "positional",
  required: true,
  description: "SHA-256 of the version, or its first digits, eight at least",
} as const;

const list = command({
  meta: { name: "list", description: "Show all models: their versions, which is in force, what drifts" },
  args: { ...operatorArgs, json },
  async run({ args }) {
    const { revision, models } = await connectAsOperator(args).models();
    console.log(args.json ? JSON.stringify({ revision, models }, null, 1) : modelTable(models));
  },
});

const show = command({
  meta: { name: "show", description: "Show a model's drift and agreement by day, or the card of one version" },
  args: { ...operatorArgs, name, version: { ...version, required: false }, json },
  async run({ args }) {
    const client = connectAsOperator(args);
    const model = modelOf((await client.models()).models, nameIn(args.name));
    if (args.version === undefined) {
      console.log(args.json ? JSON.stringify(model, null, 1) : `${driftTable(model)}\n\n${agreementTable(model)}`);
      return;
    }
    const found = await client.modelVersion(model.name, versionIn(model, args.version));
    console.log(args.json ? JSON.stringify(found, null, 1) : found.card);
  },
});

const upload = command({
  meta: { name: "upload", description: "Upload a version that a training run wrote; nothing comes into force by that" },
  args: {
    ...operatorArgs,
    folder: {
      type: "positional",
      required: true,
      description: "With model.onnx, features.json, calibration.json, golden.json and card.md",
    },
    name: { type: "string", description: `${modelNames.join(", ")}; as the folder is called unless told` },
    json,
  },
  async run({ args }) {
    const byFolder = modelNames.find((one) => folders[one] === basename(args.folder));
    const given = args.name ?? byFolder;
    if (given === undefined) throw new Failure(`--name says which model it is: ${modelNames.join(", ")}.`, 2);
    const pkg = modelIn(args.folder, nameIn(given));
    const taken = await connectAsOperator(args).uploadModel(pkg);
    const next = `${pkg.name} ${taken.sha256} was taken. It scores beside the one in force with: weir models shadow`;
    console.log(args.json ? JSON.stringify(taken, null, 1) : next);
  },
});

const promote = command({
  meta: { name: "promote", description: "Put a version in force, everywhere within 10 s" },
  args: { ...operatorArgs, name, version, json },
  run: ({ args }) => change(args, (model) => ["promote", versionIn(model, args.version)]),
});

const rollback = command({
  meta: { name: "rollback", description: "Put the version back in force that was before" },
  args: { ...operatorArgs, name, json },
  run: ({ args }) => change(args, () => ["rollback"]),
});

const shadow = command({
  meta: { name: "shadow", description: "Have a version score beside the one in force, without effect" },
  args: { ...operatorArgs, name, version: { ...version, description: `${version.description}; none: end it` }, json },
  run: ({ args }) =>
    change(args, (model) => ["shadow", args.version === "none" ? null : versionIn(model, args.version)]),
});

export const models = defineCommand({
  meta: { name: "models", description: "Upload, compare, promote and take back versions of the models" },
  subCommands: { list, show, upload, promote, rollback, shadow },
});

type Change = ["promote" | "shadow", string | null] | ["rollback"];

/** Based on what is in force now. */
async function change(
  args: { url?: string | undefined; key?: string | undefined; name: string; json?: boolean | undefined },
  of: (model: ShownModel) => Change,
): Promise<void> {
  const client = connectAsOperator(args);
  const { revision, models: all } = await client.models();
  const model = modelOf(all, nameIn(args.name));
  const [what, sha256] = of(model);
  const changed = await client.changeModel(model.name, what, revision, sha256);
  console.log(args.json ? JSON.stringify(changed, null, 1) : modelTable([changed]));
}

function nameIn(text: string): ModelName {
  return oneOf("name", text, modelNames);
}

function modelOf(all: readonly ShownModel[], wanted: ModelName): ShownModel {
  return all.find((model) => model.name === wanted)!;
}

/** The one version that begins so. */
function versionIn({ name: model, versions }: ShownModel, text: string): string {
  if (!/^[0-9a-f]{8,64}$/.test(text))
    throw new Failure(`A version is called by its SHA-256, or by 8 digits of it and more, not ${text}.`, 2);
  const found = versions.filter(({ sha256 }) => sha256.startsWith(text));
  if (found.length !== 1)
    throw new Failure(`${found.length === 0 ? "No" : "More than one"} version of ${model} begins with ${text}.`);
  return found[0].sha256;
}

function modelTable(all: readonly ShownModel[]): string {
  const head = ["model", "version", "part", "bytes", "features", "calibrated on", "drift", "from"];
  const rows = all.flatMap((model) =>
    model.versions.map((one) => {
      const windows = `${thousands(one.calibration_windows)} windows`;
      const counts = [thousands(one.bytes), one.features.length, windows];
      return [model.name, one.sha256.slice(0, 12), partOf(model, one), ...counts, driftIn(model, one), originOf(one)];
    }),
  );
  return table(head, rows);
}

function partOf({ current, previous, shadow: beside }: ShownModel, { sha256 }: ShownModelVersion): string {
  const parts = { current, previous, shadow: beside };
  const played = Object.entries(parts).filter(([, one]) => one === sha256);
  return played.map(([part]) => part).join(", ") || "-";
}

function originOf({ uploaded_at, uploaded_by }: ShownModelVersion): string {
  if (uploaded_at === null) return "(ships with Weir)";
  return uploaded_by === null ? uploaded_at : `${uploaded_at} by ${uploaded_by}`;
}

/** Over all days. */
function driftIn({ drift }: ShownModel, { sha256 }: ShownModelVersion): string {
  const all = drift?.find((one) => one.day === null && one.sha256 === sha256);
  if (!all) return "-";
  return all.level ?? `${thousands(all.rows)} rows: too few`;
}

function driftTable({ drift }: ShownModel): string {
  const head = ["drift", "version", "rows", "level", "score", "most", "feature"];
  const rows = (drift ?? []).map((one) => {
    const [feature, index] = mostOf(one);
    const indices = [one.level ?? "-", shown(one.score), shown(index)];
    return [one.day ?? "all days", one.sha256.slice(0, 12), thousands(one.rows), ...indices, feature];
  });
  return table(head, rows);
}

function mostOf({ features }: ShownDrift): [feature: string, index: number | null] {
  const byIndex = Object.entries(features ?? {}).toSorted(([, a], [, b]) => b - a);
  return byIndex[0] ?? ["-", null];
}

function agreementTable({ agreement }: ShownModel): string {
  const head = [
    "agreement",
    "current",
    "shadow",
    "rows",
    "both",
    "neither",
    "only current",
    "only shadow",
    "mean |Δp|",
  ];
  const rows = (agreement ?? []).map((one) => {
    const counts = [one.rows, one.both, one.neither, one.only_current, one.only_shadow].map(thousands);
    return [one.day, one.current.slice(0, 12), one.shadow.slice(0, 12), ...counts, shown(one.mean_p_difference)];
  });
  return table(head, rows);
}
