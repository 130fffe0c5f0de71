/**
 * Sample traffic with known attacks in it. All of it follows from a seed: the same options give the same bytes.
 * Addresses are private ones inside and those of RFC 5737, 3849 and 2544 outside.
 */
export { cloud, office } from "./scenes.ts";
export { vpcLog } from "./vpc-log.ts";
export { zeekLog } from "./zeek-log.ts";
export { logBytes, pieces } from "./log.ts";
export { fastVpc } from "./fast-vpc.ts";
export type { PlantedEvent } from "./connection.ts";
