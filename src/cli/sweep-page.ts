import type { Counts, Power, SectionSummary } from "../../test/sweep/sweep.ts";
import type { Score, Tally } from "./score.ts";
import {
  effortOf,
  grouped,
  sectionHead,
  sectionRows,
  share,
  timeLines,
  valueText,
  type SweepReport,
} from "./sweep-report.ts";
import { shown, thousands } from "./table.ts";

/** What the captures' own run came to. */
export type CaptureScores = Pick<Score, "captures" | "threats" | "total">;

/** docs/quality.md: figures and what they count, nothing else. */
export function qualityPage(report: SweepReport): string {
  const { flows } = effortOf(report);
  const backgrounds = [...new Set(report.scenes.map(({ background }) => background))];
  const parts = [
    "# Quality: what is found, and what is raised falsely",
    `Written by \`npm run eval -- ${report.command}\`; not to be edited. Seeds ${report.seeds.join(", ")}, ` +
      `${report.scenes.length} scenes, ${thousands(flows)} records.`,
    method(backgrounds),
    "## All sections",
    `\`planted\` and \`found\` count points that are to be found. \`either\` and \`silent\`: alarmed of planted. \`false\` counts ` +
      `false alarms, of any threat, by (threat, entity) in a scene, and those on silent points. Precision is points found ` +
      `over points found and false alarms. The delay is from an attack's first record to the end of the batch that brought ` +
      `the first verdict, in the log's own time.`,
    markdownTable(sectionHead, sectionRows(report)),
    ...report.sections.flatMap(sectionParts),
    "## What is still missed or falsely raised",
    ...report.sections.flatMap(openParts),
    ...(report.scores ? captureParts(report.scores) : []),
  ];
  return `${parts.join("\n\n")}\n`;
}

function method(backgrounds: readonly string[]): string {
  const generated = backgrounds.filter((name) => !name.endsWith(".gz"));
  const captures = backgrounds.filter((name) => name.endsWith(".gz"));
  return [
    "Each point of the grid in `test/sweep/grid.ts` is planted on hosts of its own, a quarter of them IPv6, in generated " +
      `traffic (${generated.join(", ")})${captures.length > 0 ? `, and with the first seed in benign captures of other networks, by their own clock, again and again where they are shorter (${captures.join(", ")})` : ""}. ` +
      "Beside them stand as many benign look-alikes. Where a section has many points, a seed plants a selection in which " +
      "every pair of values of two parameters occurs. Records are as a sensor logs them that sees both directions; they go " +
      "through the core in one process, in order of their ends, in batches of at most 5,000 records and ten seconds (later " +
      "a minute; five in the days before an attack).",
    "A point is found if a verdict of its threat, of medium severity or above and not withdrawn, names its host (of a " +
      "flood the victim or its prefix; of a distributed scan a target, its prefix or a source) and, of beacons, uploads and " +
      "long connections, its peer. Anything of medium severity or above, of any threat, about somebody who takes no part in an " +
      "attack is a false alarm; `before attacks` are those among them about the days in which the detectors knew nothing yet.",
    "The grid says of each point what an analyst may ask for: `found`, `silent` (so little that an alert would be noise) " +
      "or `either` (near any sensible threshold, or more than flows can tell). `either` counts in no figure but its own.",
    "Traffic, attacks and look-alikes are invented: the figures say how the detectors answer to these parameters, not how " +
      "often they err in a given network.",
  ].join("\n\n");
}

function sectionParts(one: SectionSummary): string[] {
  const { section, power, lookalikes } = one;
  const tables = Object.entries(power).map(([name, values]) => {
    const rows = [...values].map(([value, counts]) => [valueText(name, value), ...powerCells(counts)]);
    return markdownTable([name, "to be found", "power", "either", "silent"], rows);
  });
  const times = timeLines(one).map((line) => `- ${line}`);
  return [
    `## ${section.title}`,
    `![Share found by ${section.along}](quality/${section.id}.svg)`,
    ...tables,
    ...(times.length > 0 ? [times.join("\n")] : []),
    markdownTable(
      ["look-alike", "hosts", "false alarms", "before attacks", "of"],
      lookalikes.map(({ kind, hosts, alarms, early, threats }) => [
        kind,
        hosts === null ? "" : String(hosts),
        String(alarms),
        section.historyHours === 0 ? "" : String(early),
        Object.entries(threats)
          .map(([threat, count]) => `${threat} ${count}`)
          .join(", "),
      ]),
    ),
  ];
}

function powerCells({ found, either, silent }: Power): string[] {
  return [share(found), percent(found), share(either), share(silent)];
}

function percent({ found, planted }: Counts): string {
  return planted === 0 ? "" : `${Math.round((100 * found) / planted)} %`;
}

const listedMax = 12;

function openParts({ section, missed, counts, lookalikes }: SectionSummary): string[] {
  const points = grouped(missed.map(({ point }) => point));
  const left = points.length - listedMax;
  const raised = lookalikes.filter(({ alarms }) => alarms > 0);
  const lines = [
    ...points.slice(0, listedMax).map((text) => `- missed: ${text}`),
    ...(left > 0 ? [`- and ${left} more kinds of points that were missed`] : []),
    ...raised.map(
      ({ kind, alarms, threats }) =>
        `- raised falsely: ${kind}, ${alarms === 1 ? "once" : `${alarms} times`} (${Object.keys(threats).join(", ")})`,
    ),
  ];
  if (lines.length === 0) return [];
  return [
    `${section.title}: ${counts.found.planted - counts.found.found} of ${counts.found.planted} missed. ${section.why ?? ""}`.trim(),
    lines.join("\n"),
  ];
}

function captureParts({ captures, threats, total }: CaptureScores): string[] {
  const cells = (tally: Tally) => [
    `${tally.detected}/${tally.events}`,
    `${tally.detected_with_hard - tally.detected}/${tally.events_with_hard - tally.events}`,
    String(tally.true_alerts),
    String(tally.false_alerts),
    String(tally.not_scored_alerts),
    shown(tally.recall),
    shown(tally.precision),
  ];
  const head = ["found", "hard found", "true", "false", "aside", "recall", "precision"];
  return [
    "## Captures",
    "Labelled captures of other people's networks, each sent over HTTP to a local Weir as a tenant of its own, and scored " +
      "as `docs/eval.md` says.",
    markdownTable(
      ["capture", ...head],
      [...Object.entries(captures).map(([name, tally]) => [name, ...cells(tally)]), ["total", ...cells(total)]],
    ),
    markdownTable(
      ["threat", ...head],
      Object.entries(threats).map(([name, tally]) => [name, ...cells(tally)]),
    ),
  ];
}

/** Padded as the formatter wants it; columns of numbers to the right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const wide = head.map((title, c) => Math.max(3, title.length, ...rows.map((row) => row[c].length)));
  const numeric = head.map((_, c) => c > 0 && rows.every((row) => /^(|-|[\d.,]+( %)?|\d+\/\d+)$/.test(row[c])));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, c) => (numeric[c] ? cell.padStart(wide[c]) : cell.padEnd(wide[c]))).join(" | ")} |`;
  const rule = `| ${wide.map((width, c) => (numeric[c] ? `${"-".repeat(width - 1)}:` : "-".repeat(width))).join(" | ")} |`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}
