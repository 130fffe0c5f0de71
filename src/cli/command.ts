import { defineCommand, type ArgsDef, type CommandDef } from "citty";
import { Failure } from "./failure.ts";

/**
 * A subcommand that refuses what it does not know. citty itself lets unknown flags and surplus arguments pass.
 * `variadic`: the positional argument may be repeated.
 */
export function command<const T extends ArgsDef>(def: CommandDef<T> & { args: T; variadic?: boolean }): CommandDef<T> {
  const { variadic = false, ...rest } = def;
  const declared: ArgsDef = def.args;
  return defineCommand({
    ...rest,
    setup({ args }) {
      const known = new Set(Object.keys(declared).flatMap((name) => [name, camelCase(name)]));
      for (const [name, value] of Object.entries(args)) {
        if (name === "_") continue;
        if (!known.has(name)) throw new Failure(`There is no flag --${name}.`, 2);
        const { type } = declared[name] ?? {};
        if ((type === "string" || type === "enum") && typeof value !== "string" && value !== undefined)
          throw new Failure(`--${name} takes a value.`, 2);
        if ((type === "string" || type === "enum") && value === "") throw new Failure(`--${name} needs a value.`, 2);
      }
      const positionals = Object.values(declared).filter(({ type }) => type === "positional").length;
      if (!variadic && args._.length > positionals)
        throw new Failure(`There is one argument too many: ${args._[positionals]}.`, 2);
    },
  });
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** The whole number that a flag was given. */
export function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Failure(`--${name} takes a whole number from ${min} to ${max}, not ${text}.`, 2);
  return value;
}

export function oneOf<T extends string>(name: string, text: string, known: readonly T[]): T {
  const found = known.find((value) => value === text);
  if (found === undefined) throw new Failure(`--${name} takes ${known.join(", ")}, not ${text}.`, 2);
  return found;
}
