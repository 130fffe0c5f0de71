/** 1: it failed. 2: wrong usage. 3: records were rejected under `--strict`. */
export type ExitCode = 1 | 2 | 3;

/** Ends the program with one sentence on stderr. */
export class Failure extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Any error as a sentence. */
export function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  const path = (error as NodeJS.ErrnoException).path;
  if (code === "ENOENT" && path !== undefined) return `There is no file ${path}.`;
  if (code === "EISDIR") return "A folder was given where a file is needed.";
  return error.message;
}
