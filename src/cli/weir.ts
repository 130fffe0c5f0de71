#!/usr/bin/env node
import { pathToFileURL } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { defineCommand, renderUsage, runCommand, type CommandDef } from "citty";
import { Failure, sentence } from "./failure.ts";

/** Loaded when asked for: those that start a Worker take a second to load. */
const commands: { [name: string]: () => Promise<CommandDef<any>> } = {
  send: async () => (await import("./send.ts")).send,
  parse: async () => (await import("./parse.ts")).parse,
  anomalies: async () => (await import("./anomalies.ts")).anomalies,
  config: async () => (await import("./config.ts")).config,
  tenants: async () => (await import("./tenants.ts")).tenants,
  keys: async () => (await import("./keys.ts")).keys,
  models: async () => (await import("./models.ts")).models,
  audit: async () => (await import("./audit.ts")).audit,
  features: async () => (await import("./features.ts")).features,
  replay: async () => (await import("./replay.ts")).replay,
  eval: async () => (await import("./eval.ts")).evaluate,
  bench: async () => (await import("./bench.ts")).bench,
  demo: async () => (await import("./demo.ts")).demo,
};
const names = Object.keys(commands).join(", ");

const weir = defineCommand({
  meta: { name: "weir", description: "Sends flow logs to Weir and shows what it found" },
  subCommands: commands,
});

/** Runs one command line and answers its exit code: 0, 1 failed, 2 usage, 3 records rejected under `--strict`. */
export async function run(argv: string[]): Promise<number> {
  const [name, ...rawArgs] = argv;
  try {
    if (name === undefined) throw new Failure(`Say what to do: ${names}.`, 2);
    const known = Object.hasOwn(commands, name) ? await commands[name]() : undefined;
    const flags = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
    if (flags.includes("--help") || flags.includes("-h")) {
      const usage = await (known ? renderUsage(known, weir) : renderUsage(weir));
      process.stdout.write(`${process.stdout.isTTY ? usage : stripVTControlCharacters(usage)}\n`);
      return 0;
    }
    if (known === undefined) throw new Failure(`There is no command ${name}: use ${names}.`, 2);
    await runCommand(known, { rawArgs });
    return 0;
  } catch (error) {
    process.stderr.write(`weir: ${stripVTControlCharacters(sentence(error))}\n`);
    if (error instanceof Failure) return error.exitCode;
    // What citty throws for a missing argument.
    return error instanceof Error && error.name === "CLIError" ? 2 : 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = await run(process.argv.slice(2));
