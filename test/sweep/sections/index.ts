import type { Section } from "../section.ts";
import { beacon } from "./beacon.ts";
import { bruteForce } from "./brute-force.ts";
import { dnsTunnel } from "./dns-tunnel.ts";
import { exfiltration } from "./exfiltration.ts";
import { flood } from "./flood.ts";
import { lateralMovement } from "./lateral-movement.ts";
import { longConnection } from "./long-connection.ts";
import { novelBehaviour } from "./novel-behaviour.ts";
import { portScan } from "./port-scan.ts";
import { reflection } from "./reflection.ts";

/** What detectors are for, in the order of the grid. */
export const sections: readonly Section[] = [
  portScan,
  flood,
  reflection,
  beacon,
  bruteForce,
  exfiltration,
  lateralMovement,
  dnsTunnel,
  longConnection,
];

/** And what none is for: only the ablation and whoever names its threat play it. */
export const allSections: readonly Section[] = [...sections, novelBehaviour];
