import { thresholdsOf } from "../core/detectors/configuration.ts";
import type { Detector } from "../core/detectors/detector.ts";
import { allDetectors } from "../core/detectors/index.ts";
import { apiName } from "../core/detectors/thresholds.ts";

const introduction = `# What detectors judge by

This page is made by \`node src/cli/weir.ts config --markdown > docs/config.md\`, then \`oxfmt docs/config.md\`.

Each tenant has one configuration: a preset, and thresholds that are set apart from it. A change is in force within 10
seconds, without a deploy; anomalies name the version that judged them. \`weir config\` shows it, and changes it:

\`\`\`sh
weir config --preset quiet --set port_scan.ports_min=20
weir config --unset port_scan.ports_min
\`\`\`

\`GET\` and \`PUT /v1/config\` stand in [the API](api.md). The presets run from the fewest alerts to the most: \`quiet\`,
\`balanced\` (the default), \`sensitive\`. An anomaly's evidence tells under \`thresholds\` which of these decided, and
\`quiet_at\`: the value that would have kept it quiet.

Each row: the threshold, its unit, its value in the three presets, its range (\`*\`: whole numbers only), what raising it
makes of the detector, and what that costs.
`;

/** `docs/config.md`: every threshold of every detector. */
export function configPage(): string {
  return [introduction, ...allDetectors.map(sectionOf)].join("\n");
}

function sectionOf(detector: Detector): string {
  const rows = Object.entries(thresholdsOf(detector)).map(([name, threshold]) => {
    const {
      unit,
      default: balanced,
      quiet = balanced,
      sensitive = balanced,
      min,
      max,
      isWhole,
      raising,
      cost,
    } = threshold;
    const range = `${min} to ${max}${isWhole ? " \\*" : ""}`;
    const cells = [`\`${apiName(name)}\``, unit, quiet, balanced, sensitive, range, raising, cost];
    return cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ");
  });
  const head = ["threshold", "unit", "quiet", "balanced", "sensitive", "range", "raising", "cost"];
  const lines = [head.join(" | "), head.map(() => "---").join(" | "), ...rows];
  const note = detector.isExperimental ? "Experimental: its verdicts are `low` at most.\n\n" : "";
  return `## ${detector.id}\n\n${note}${lines.map((line) => `| ${line} |`).join("\n")}\n`;
}
