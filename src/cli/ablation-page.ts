import { all, panelOf, type AblatedScene, type Calm, type Judgement, type Panel } from "../../test/sweep/ablation.ts";
import type { JudgedPoint } from "../../test/sweep/judge.ts";
import { markdownTable } from "./sweep-page.ts";
import { share } from "./sweep-report.ts";

export interface AblationReport {
  command: string;
  seeds: readonly number[];
  models: readonly string[];
  pValues: readonly number[];
  defaultPValueMax: number;
  scenes: readonly AblatedScene[];
  heldBack: Calm;
  captures: readonly CaptureRow[];
}

export interface CaptureRow {
  capture: string;
  /** Hours of hosts that models looked at. */
  hours: number;
  events: number;
  /** By statistics. */
  found: number;
  /** Of the others, those whose host models name. */
  named: number;
  falseAlarms: number;
  falseWithModels: number;
  /** Whether anything raised in it can be called false. */
  isScored: boolean;
}

const title = "## What tier 2 adds";

/** The part of docs/quality.md that the ablation writes; nothing where there is none yet. */
export function tierTwoPart(page: string): string {
  const at = page.indexOf(`\n${title}\n`);
  return at < 0 ? "" : page.slice(at + 1);
}

/** The page with this as its last part. */
export function withTierTwo(page: string, part: string): string {
  const at = page.indexOf(`\n${title}\n`);
  const rest = at < 0 ? page : page.slice(0, at + 1);
  return part === "" ? rest : `${rest.trimEnd()}\n\n${part.trimEnd()}\n`;
}

/** Who is compared: its column, and what it judged by. */
interface Column {
  head: string;
  panel: Panel;
}

export function ablationPart(report: AblationReport): string {
  const columns = columnsOf(report);
  const heads = columns.map(({ head }) => head);
  const sections = [...new Set(report.scenes.map(({ section }) => section))];
  const parts = [
    title,
    `Written by \`npm run eval -- ${report.command}\`; not to be edited. Seeds ${report.seeds.join(", ")}; models: ${report.models.join(", ")}.`,
    method(report),
    "Found of planted, of points that are to be found; and false alarms of any threat, by (threat, entity) in a scene:",
    markdownTable(
      ["section", ...heads],
      [...sections.map((id) => foundRow(report, columns, id)), falseRow(report, columns)],
    ),
    verdict(report, columns),
    ...sections.flatMap((id) => kindParts(report, columns, id)),
    "False alarms, by what they are about:",
    markdownTable(["look-alike", ...heads], lookalikeRows(report, columns)),
    ...calmParts(report),
    ...captureParts(report),
  ];
  return parts.join("\n\n");
}

function method({ defaultPValueMax }: AblationReport): string {
  return (
    "The same scenes, judged by statistics alone and with the models beside them. A point of the section " +
    "novel-behaviour is found if any verdict of medium severity or above names its host while it does what it began to " +
    `do; of the others, one of its own threat, or an anomaly. \`p ≤ ${defaultPValueMax}\` is what is in force unless a ` +
    "tenant says otherwise; at the other p-values models raise together with the balanced statistics as many false " +
    "alarms as the `sensitive` statistics do alone, or the next fewer. Models look at the hours that " +
    "`src/core/detectors/anomaly.ts` chooses, without its sample."
  );
}

function columnsOf(report: AblationReport): Column[] {
  const { models, defaultPValueMax } = report;
  const budget = falseAlarms(report, "sensitive");
  const within = (name: string, head: string): Column[] => {
    const fitting = report.pValues.filter((p) => falseAlarms(report, panelOf(name, p)) <= budget);
    const p = fitting.at(-1);
    return p === undefined ? [] : [{ head: `${head}, p ≤ ${p.toPrecision(2)}`, panel: panelOf(name, p) }];
  };
  return [
    { head: "statistics", panel: "balanced" },
    { head: `with models, p ≤ ${defaultPValueMax}`, panel: panelOf(all, defaultPValueMax) },
    { head: "sensitive statistics", panel: "sensitive" },
    ...within(all, "with models"),
    ...(models.length > 1 ? models.flatMap((name) => within(name, `with ${name}`)) : []),
  ];
}

function judgementsOf({ scenes }: AblationReport, panel: Panel, section?: string): Judgement[] {
  const mine = section === undefined ? scenes : scenes.filter((scene) => scene.section === section);
  return mine.map(({ judgements }) => judgements.get(panel)!);
}

function falseAlarms(report: AblationReport, panel: Panel): number {
  return judgementsOf(report, panel).reduce((sum, judgement) => sum + judgement.falseAlarms.length, 0);
}

type Chosen = (point: JudgedPoint) => boolean;

function countsOf(report: AblationReport, { panel }: Column, section: string, isChosen: Chosen): string {
  const points = judgementsOf(report, panel, section).flatMap((judgement) => judgement.points.filter(isChosen));
  return share({ planted: points.length, found: points.filter(({ found }) => found).length });
}

const isWanted: Chosen = ({ wanted }) => wanted === "found";

function foundRow(report: AblationReport, columns: readonly Column[], section: string): string[] {
  return [section, ...columns.map((column) => countsOf(report, column, section, isWanted))];
}

function falseRow(report: AblationReport, columns: readonly Column[]): string[] {
  return ["false alarms", ...columns.map(({ panel }) => String(falseAlarms(report, panel)))];
}

/** By the section's first two parameters; and what was not to be found, by whether it was to be silent. */
function kindParts(report: AblationReport, columns: readonly Column[], section: string): string[] {
  const points = judgementsOf(report, "balanced", section).flatMap((judgement) => judgement.points);
  const rows = Object.keys(points[0].point).flatMap((name) => {
    const values = [...new Set(points.filter(isWanted).map(({ point }) => point[name]))];
    return values.map((value) => {
      const isOne: Chosen = (point) => isWanted(point) && point.point[name] === value;
      return [`${name} ${value}`, ...columns.map((column) => countsOf(report, column, section, isOne))];
    });
  });
  for (const wanted of ["either", "silent"]) {
    const isOne: Chosen = (point) => point.wanted === wanted;
    if (points.some(isOne))
      rows.push([`to be ${wanted}`, ...columns.map((column) => countsOf(report, column, section, isOne))]);
  }
  const heads = columns.map(({ head }) => head);
  return [`### Section ${section}`, markdownTable(["points", ...heads], rows)];
}

function lookalikeRows(report: AblationReport, columns: readonly Column[]): string[][] {
  const counts = columns.map(({ panel }) => {
    const kinds = new Map<string, number>();
    for (const { kind } of judgementsOf(report, panel).flatMap((judgement) => judgement.falseAlarms))
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    return kinds;
  });
  const kinds = [...new Set(counts.flatMap((one) => [...one.keys()]))];
  return kinds.map((kind) => [kind, ...counts.map((one) => String(one.get(kind) ?? 0))]);
}

/** One sentence: what is found more, or less, for as many false alarms. */
function verdict(report: AblationReport, columns: readonly Column[]): string {
  const [, , sensitive, models] = columns;
  if (!models) return "At no p-value do models raise as few false alarms as the sensitive statistics.";
  const found = ({ panel }: Column) =>
    judgementsOf(report, panel).flatMap(({ points }) => points.filter((point) => isWanted(point) && point.found))
      .length;
  const [balanced, loud, both] = [columns[0], sensitive, models].map(found);
  return (
    `For ${falseAlarms(report, models.panel)} false alarms the models find ${both - balanced} points more than the ` +
    `balanced statistics, which raise ${falseAlarms(report, "balanced")}; the sensitive statistics find ` +
    `${loud - balanced} more for ${falseAlarms(report, "sensitive")}.`
  );
}

function calmParts({ models, scenes, heldBack }: AblationReport): string[] {
  const rows = [
    calmRow("held back: networks as in training, other seeds", models, [heldBack]),
    calmRow(
      "sweep: hosts that do what they always did",
      models,
      scenes.map(({ usual }) => usual),
    ),
    calmRow(
      "sweep: look-alikes since they began",
      models,
      scenes.map(({ changed }) => changed),
    ),
  ];
  const head = ["hours", "number", ...models.flatMap((name) => [`${name}: p ≤ 0.01`, "p ≤ 0.001"])];
  return [
    "Calibration: of hours in which nobody did anything wrong, those with such a p-value:",
    markdownTable(head, rows),
  ];
}

function calmRow(name: string, models: readonly string[], calms: readonly Calm[]): string[] {
  const windows = calms.reduce((sum, calm) => sum + calm.windows, 0);
  const shares = models.flatMap((model) =>
    (["hundredth", "thousandth"] as const).map((part) => {
      const count = calms.reduce((sum, { atMost }) => sum + (atMost[model]?.[part] ?? 0), 0);
      return `${((100 * count) / windows).toFixed(2)} %`;
    }),
  );
  return [name, String(windows), ...shares];
}

function captureParts({ captures, defaultPValueMax }: AblationReport): string[] {
  if (captures.length === 0) return [];
  const rows = captures.map((row) => [
    row.capture,
    String(row.hours),
    share({ planted: row.events, found: row.found }),
    share({ planted: row.events - row.found, found: row.named }),
    row.isScored ? String(row.falseAlarms) : "",
    row.isScored ? String(row.falseWithModels) : "",
  ]);
  const sum = (of: (row: CaptureRow) => number) => captures.reduce((total, row) => total + of(row), 0);
  const scored = (of: (row: CaptureRow) => number) => sum((row) => (row.isScored ? of(row) : 0));
  const [events, found] = [sum((row) => row.events), sum((row) => row.found)];
  rows.push([
    "total",
    String(sum(({ hours }) => hours)),
    share({ planted: events, found }),
    share({ planted: events - found, found: sum(({ named }) => named) }),
    String(scored((row) => row.falseAlarms)),
    String(scored((row) => row.falseWithModels)),
  ]);
  const head = ["capture", "hours looked at", "found", "of the missed, named", "false", "false with models"];
  return [
    `Captures, p ≤ ${defaultPValueMax}: events that statistics find, of all, the hard ones too; of those that they miss, the ones whose host models name; and false alarms:`,
    markdownTable(head, rows),
  ];
}
