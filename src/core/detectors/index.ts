import { c2Beacon } from "./c2-beacon.ts";
import { ddos } from "./ddos.ts";
import type { Detector } from "./detector.ts";
import { portScan } from "./port-scan.ts";

/** All detectors, in the order in which their findings are listed. */
export const detectors: readonly Detector[] = [portScan, ddos, c2Beacon] as const;
