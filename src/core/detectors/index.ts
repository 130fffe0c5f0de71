import { anomaly } from "./anomaly.ts";
import { bruteForce } from "./brute-force.ts";
import { c2Beacon } from "./c2-beacon.ts";
import { ddos } from "./ddos.ts";
import type { Detector } from "./detector.ts";
import { dnsTunnel } from "./dns-tunnel.ts";
import { exfiltration } from "./exfiltration.ts";
import { icmpTunnel } from "./icmp-tunnel.ts";
import { internalFanIn } from "./internal-fan-in.ts";
import { lateralMovement } from "./lateral-movement.ts";
import { policy } from "./policy.ts";
import { longConnection } from "./long-connection.ts";
import { portScan } from "./port-scan.ts";
import { rareService } from "./rare-service.ts";

/** Those that find by themselves, in the order in which their findings are listed. */
export const detectors: readonly Detector[] = [
  portScan,
  ddos,
  c2Beacon,
  exfiltration,
  bruteForce,
  lateralMovement,
  dnsTunnel,
  longConnection,
  icmpTunnel,
  rareService,
  internalFanIn,
  policy,
] as const;

/** What every slot has: these, and the memory of hosts that models look at. The last, so that it knows who is suspect. */
export const allDetectors: readonly Detector[] = [...detectors, anomaly];
