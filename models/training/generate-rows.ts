/**
 * Writes the training rows that the generator of the sweep makes: `node models/training/generate-rows.ts DIR`.
 *
 * - `benign.ndjson`: networks in which nobody attacks, with the look-alikes of every section of test/sweep
 * - `held-back.ndjson`: the same of other seeds, on which the ablation measures calibration; never for training
 * - `attacks.ndjson`: hosts on which something is planted, for the cards' figures; never for training. Windows in which
 *   nothing was planted have no label: they are there for the sequences.
 *
 * The seeds are odd, above 100, and no sweep's: what the models are judged by they have not seen.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeBenign } from "../../test/sweep/benign.ts";
import { makeScene } from "../../test/sweep/scene.ts";
import type { Planted, Section } from "../../test/sweep/section.ts";
import { beacon } from "../../test/sweep/sections/beacon.ts";
import { bruteForce } from "../../test/sweep/sections/brute-force.ts";
import { dnsTunnel } from "../../test/sweep/sections/dns-tunnel.ts";
import { exfiltration } from "../../test/sweep/sections/exfiltration.ts";
import { flood } from "../../test/sweep/sections/flood.ts";
import { lateralMovement } from "../../test/sweep/sections/lateral-movement.ts";
import { longConnection } from "../../test/sweep/sections/long-connection.ts";
import { novelBehaviour } from "../../test/sweep/sections/novel-behaviour.ts";
import { portScan } from "../../test/sweep/sections/port-scan.ts";
import { reflection } from "../../test/sweep/sections/reflection.ts";
import { windowsOf } from "../../test/sweep/windows.ts";
import type { Candidate } from "../../src/core/features/candidate.ts";
import { windowMs } from "../../src/core/features/features.ts";
import { trainingRow, type Label } from "../../src/core/features/training-rows.ts";

/** Scenes of a seed: dealt, so that no scene has every kind of look-alike and a network stays a network. */
const groups: readonly (readonly Section[])[] = [
  [beacon, exfiltration],
  [portScan, flood, reflection, bruteForce],
  [lateralMovement, dnsTunnel, longConnection, novelBehaviour],
];
/** Look-alikes of each kind and hosts of each life, of the scenes in turn: small networks, in which much is rare, and larger ones. */
const sizes = [
  { each: 1, lives: 6 },
  { each: 2, lives: 14 },
  { each: 2, lives: 24 },
];
const trainingSeeds = [101, 103, 105];
const heldBackSeeds = [201, 203];
const attackSeeds = [301];
const attackSections = [novelBehaviour, beacon, exfiltration, lateralMovement, dnsTunnel];

const internal = ["10.0.0.0/8", "fd00::/8"];

function line(source: string, candidate: Candidate, label: Label): string {
  return JSON.stringify(trainingRow(candidate, source, label));
}

function benignLines(seeds: readonly number[]): string[] {
  return seeds.flatMap((seed, s) =>
    groups.flatMap((sections, g) => {
      const background = (s + g) % 2 === 0 ? "office" : "cloud";
      const size = sizes[(s + g) % sizes.length];
      const { flows } = makeBenign({ seed, background, sections, ...size });
      const source = `${background}-${seed}-${g + 1}`;
      return told(
        source,
        flows.length,
        windowsOf(flows, internal).map((row) => line(source, row, "benign")),
      );
    }),
  );
}

/** Of the hosts that something is planted on. */
function attackLines(seeds: readonly number[]): string[] {
  return seeds.flatMap((seed) =>
    attackSections.flatMap((section, i) => {
      const background = i % 2 === 0 ? "office" : "cloud";
      const { world, owners } = makeScene({ section, seed, background });
      const plantedOn = new Map<string, { planted: Planted; isSilent: boolean }>();
      for (const owner of owners) {
        if (!owner || !("planted" in owner)) continue;
        const { planted, point } = owner;
        const isSilent = section.wanted(point) === "silent";
        for (const entity of planted.entities) plantedOn.set(world.textOf(entity), { planted, isSilent });
      }
      const source = `${background}-${seed}-${section.id}`;
      const rows = windowsOf(world.flows, internal).flatMap((row) => {
        const on = plantedOn.get(row.entity);
        if (!on) return [];
        const isAttack = !on.isSilent && isDuring(on.planted, row.window.startMs, world.endMs);
        return [line(source, row, isAttack ? "attack" : null)];
      });
      return told(source, world.flows.length, rows);
    }),
  );
}

function isDuring({ startMs, endMs, momentsMs }: Planted, windowStartMs: number, sceneEndMs: number): boolean {
  const windowEndMs = windowStartMs + windowMs;
  if (momentsMs) return momentsMs.some((ms) => ms >= windowStartMs && ms < windowEndMs);
  return windowEndMs > startMs && windowStartMs < (endMs ?? sceneEndMs);
}

function told(source: string, records: number, lines: string[]): string[] {
  console.log(`${source}: ${records} records, ${lines.length} rows`);
  return lines;
}

const directory = process.argv[2];
if (directory === undefined) throw new Error("Say the directory to write to.");
mkdirSync(directory, { recursive: true });
const write = (name: string, lines: readonly string[]) => {
  writeFileSync(join(directory, name), lines.map((text) => `${text}\n`).join(""));
};
write("benign.ndjson", benignLines(trainingSeeds));
write("attacks.ndjson", attackLines(attackSeeds));
write("held-back.ndjson", benignLines(heldBackSeeds));
