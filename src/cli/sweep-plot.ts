import type { Curves } from "../../test/sweep/sweep.ts";
import { valueText } from "./sweep-report.ts";

const [width, height] = [640, 260];
const [left, right, top, bottom] = [48, 150, 16, 48];
/** Told apart on white and on black. */
const colours = ["#4269d0", "#d08a00", "#e3524b", "#2f9e83", "#9b5de5"];

/** Share of the planted points that were found, along one parameter, a line for each value of another. */
export function plotOf({ along, lines: by, values, curves }: Curves): string {
  const x = (i: number) => Math.round(left + (i * (width - left - right)) / Math.max(1, values.length - 1));
  const y = (share: number) => Math.round(top + (1 - share) * (height - top - bottom));
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<path class="g" d="M${left} ${y(share)}H${width - right}"/><text x="${left - 6}" y="${y(share) + 4}" text-anchor="end">${100 * share} %</text>`,
  );
  const ticks = values.map(
    (value, i) =>
      `<text x="${x(i)}" y="${height - bottom + 18}" text-anchor="middle">${escaped(valueText(along, value))}</text>`,
  );
  const drawn = curves.flatMap(({ name, shares }, n) => {
    const points = shares.flatMap((share, i) => (share === null ? [] : [{ x: x(i), y: y(share) }]));
    const colour = colours[n % colours.length];
    const at = top + 20 + 18 * n;
    return [
      `<path fill="none" stroke="${colour}" stroke-width="2" d="${points.map((point, i) => `${i === 0 ? "M" : "L"}${point.x} ${point.y}`).join("")}"/>`,
      ...points.map((point) => `<circle cx="${point.x}" cy="${point.y}" r="3" fill="${colour}"/>`),
      `<path stroke="${colour}" stroke-width="2" d="M${width - right + 14} ${at}h18"/>`,
      `<text x="${width - right + 38}" y="${at + 4}">${escaped(valueText(by, name))}</text>`,
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>Share found by ${along} and ${by}</title>`,
    "<style>text{font:12px sans-serif;fill:#444}.g{stroke:#8886;fill:none}@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>",
    ...grid,
    ...ticks,
    `<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle">${along}</text>`,
    `<text x="${width - right + 14}" y="${top + 4}">${by}</text>`,
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
