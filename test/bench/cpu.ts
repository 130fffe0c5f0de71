import { readdirSync, readFileSync } from "node:fs";

/** The processes that this one started whose program is `workerd`, where /proc tells; else none. */
export function workerdPids(): number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter(isOurWorkerd);
  } catch {
    return [];
  }
}

function isOurWorkerd(pid: number): boolean {
  try {
    const [, program, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return program === "workerd" && Number(parent) === process.pid;
  } catch {
    return false; // It ended meanwhile.
  }
}

/** CPU time of all threads of a process so far, in ms; undefined where /proc does not tell. */
export function cpuMs(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((id) =>
      Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]),
    );
    return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e6;
  } catch {
    return undefined;
  }
}

/** CPU time that a process spends on some work, else time on the clock; and the latter. */
export async function cpuOf(
  pid: number | undefined,
  work: () => Promise<unknown>,
): Promise<{ us: number; wallMs: number }> {
  const cpuBefore = cpuMs(pid);
  const before = performance.now();
  await work();
  const wallMs = performance.now() - before;
  const cpuAfter = cpuMs(pid);
  const ms = cpuBefore === undefined || cpuAfter === undefined ? wallMs : cpuAfter - cpuBefore;
  return { us: 1000 * ms, wallMs };
}
