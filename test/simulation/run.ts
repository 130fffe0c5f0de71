import { parseArgs } from "node:util";
import { faultKinds, type FaultKind, type PlanOptions } from "./plan.ts";
import { simulate, type Outcome } from "./simulate.ts";

/**
 * Runs simulations: `--seeds N` from `--from` on, or one `--seed S`; prints each that goes wrong, the smallest form of
 * it that still does, and how to run that again. Exit code 1 if any did. `--first` stops at the first one.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    without: { type: "string", default: "" },
    batches: { type: "string" },
    first: { type: "boolean", default: false },
  },
});

const without = values.without.split(",").filter((name): name is FaultKind => faultKinds.includes(name as FaultKind));
const batches = values.batches === undefined ? {} : { batches: Number(values.batches) };

async function main(): Promise<void> {
  const [first, count] =
    values.seed === undefined ? [Number(values.from), Number(values.seeds)] : [Number(values.seed), 1];
  const startMs = performance.now();
  let [ran, failed] = [0, 0];
  const sums = { late: 0, evicted: 0, verdicts: 0 };
  for (let seed = first; seed < first + count; seed++) {
    const options: PlanOptions = { seed, without, ...batches };
    const outcome = await simulate(options);
    ran++;
    sums.late += outcome.late;
    sums.evicted += outcome.evicted;
    sums.verdicts += Object.values(outcome.digests).reduce((sum, lines) => sum + lines.length, 0);
    if (outcome.wrong.length === 0) continue;
    failed++;
    const smallest = count === 1 || values.first ? { options, outcome } : await shrunk(options, outcome);
    console.log(report(smallest.options, smallest.outcome));
    if (failed === (values.first ? 1 : 3)) break;
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(
    `${ran - failed} of ${ran} seeds passed in ${seconds} s: ${sums.verdicts} final verdicts, ` +
      `${sums.late} late records, ${sums.evicted} entities evicted`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}

/** Leaves out one kind of fault after the other, then the later half of the batches, while it still goes wrong. */
async function shrunk(options: PlanOptions, outcome: Outcome): Promise<{ options: PlanOptions; outcome: Outcome }> {
  let best = { options, outcome };
  const attempt = async (smaller: PlanOptions) => {
    const again = await simulate(smaller);
    if (again.wrong.length > 0) best = { options: smaller, outcome: again };
  };
  for (const kind of best.outcome.plan.faults) {
    await attempt({ ...best.options, without: [...(best.options.without ?? []), kind] });
  }
  for (let half = 64; half >= 1; half = Math.floor(half / 2)) {
    const kept = Math.min(best.options.batches ?? Number.POSITIVE_INFINITY, longest(best.outcome));
    if (kept > half) await attempt({ ...best.options, batches: kept - half });
  }
  return best;
}

function longest({ plan }: Outcome): number {
  return Math.max(...plan.tenants.flatMap(({ shippers }) => shippers.map((own) => own.length)));
}

function report({ seed, without: left = [], batches: kept }: PlanOptions, { plan, wrong }: Outcome): string {
  const flags = [`--seed ${seed}`, left.length > 0 && `--without ${left.join(",")}`, kept && `--batches ${kept}`];
  return [
    `seed ${seed} went wrong; faults: ${[...plan.faults].join(", ")}`,
    ...wrong.slice(0, 6).map((words) => `  ${words.slice(0, 600)}`),
    `  again: npm run simulate -- ${flags.filter(Boolean).join(" ")}`,
  ].join("\n");
}

await main();
