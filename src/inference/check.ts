import { checkMsMax, type Checked } from "./instances.ts";
import type { ModelPackage } from "./model.ts";
import type { RemoteModel } from "./remote.ts";
import type { Run } from "./rows.ts";
import { tryPackage } from "./trial.ts";
import { within } from "../within.ts";

/** Golden rows of a check: as many as each version has at least. */
const goldenRows = 16;
/** Characters of an error that are kept. */
const errorCharsMax = 200;

/** Whether a server is ready, and runs the version in force, where there is one: it gets golden rows right. Else it throws. */
export async function checkRemote(remote: RemoteModel, pkg: ModelPackage | undefined): Promise<Checked> {
  await remote.checkReady();
  if (pkg) await runGolden(pkg, (inputs) => remote.run(inputs));
  return { isWell: true, load: null, verified: pkg?.sha256 ?? null };
}

/** Throws what the model throws, and ModelRefused where golden rows come out otherwise. */
export async function runGolden(pkg: ModelPackage, run: Run): Promise<void> {
  const { rows, masks, scores, errors } = pkg.golden;
  const golden = {
    rows: rows.slice(0, goldenRows),
    scores: scores.slice(0, goldenRows),
    ...(masks && { masks: masks.slice(0, goldenRows) }),
    ...(errors && { errors: errors.slice(0, goldenRows) }),
  };
  await tryPackage({ ...pkg, golden }, async () => ({ run, release: async () => {} }));
}

/** Whatever goes wrong, or takes longer than a check may, is what it found. */
export async function checked(check: () => Promise<Checked>): Promise<Checked> {
  try {
    return await within(checkMsMax, check());
  } catch (error) {
    return { isWell: false, error: (error as Error).message.slice(0, errorCharsMax) };
  }
}
