import { describe, expect, it } from "vitest";
import { metricsIn } from "../../../src/inference/card.ts";

const card = (section: string) =>
  `# m\n\n| not | this |\n| --- | --- |\n| 1 | 2 |\n\n## Metrics\n\n${section}\n\n## Blind\n\n| nor | that |\n| --- | --- |\n`;

describe("the metrics of a card", () => {
  it("are the table under that heading", () => {
    const section =
      "On test hosts.\n\n| source | p ≤ 0.01 |\n| --- | ---: |\n| office-1 | 3.99 % |\n| all | 2.40 % |\n\nMore.";
    const rows = [
      ["office-1", "3.99 %"],
      ["all", "2.40 %"],
    ];
    expect(metricsIn(card(section))).toEqual({ columns: ["source", "p ≤ 0.01"], rows });
  });

  it("are none where the card has no such table", () => {
    for (const text of ["", "# m\n", card("Good."), card("| a | b |\nno rule"), "## Metrics"]) {
      expect(metricsIn(text), text).toBeNull();
    }
  });

  it("are bounded, whatever somebody writes", () => {
    const wide = `|${" x |".repeat(1000)}\n|${"---|".repeat(1000)}\n${`| ${"y".repeat(5000)} |\n`.repeat(1000)}`;
    const { columns, rows } = metricsIn(card(wide))!;
    expect([columns.length, rows.length, rows[0][0].length]).toEqual([16, 64, 100]);
  });
});
