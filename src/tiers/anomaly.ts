import { createHmac } from "node:crypto";
import type { Anomaly, TierReport, Verdict } from "../core/verdict.ts";

/** What of an anomaly the slot does not know. */
export interface AnomalyContext {
  tenant: string;
  idKey: Uint8Array;
  receivedAtMs: number;
  decidedAtMs: number;
}

/** Statistics have their say in every batch; models and correlation are not there yet, and every verdict says so. */
const tiers: readonly TierReport[] = [
  { tier: 1, ran: true, reason: null },
  { tier: 2, ran: false, reason: "not_built" },
  { tier: 3, ran: false, reason: "not_built" },
];

/** A verdict as it is stored and shown. */
export function anomalyOf(verdict: Verdict, context: AnomalyContext): Anomaly {
  const { idKey, ...rest } = context;
  return { ...verdict, ...rest, id: anomalyId(verdict, idKey), tiers };
}

/** 128 bits in hex: the same threat, entity and identity window always have the same, and nobody can guess the entity. */
function anomalyId({ threat, entity, window }: Verdict, idKey: Uint8Array): string {
  const identity = [threat, entity, window.startMs, window.endMs].join("\n");
  return createHmac("sha256", idKey).update(identity).digest("hex").slice(0, 32);
}
