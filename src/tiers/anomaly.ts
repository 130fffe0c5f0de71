import { createHmac } from "node:crypto";
import type { Anomaly, TierReport, Verdict } from "../core/verdict.ts";
import type { SecondOpinion } from "./ask-models.ts";

/** What of an anomaly the slot does not know. */
export interface AnomalyContext {
  tenant: string;
  idKey: Uint8Array;
  receivedAtMs: number;
  decidedAtMs: number;
}

/** Statistics have their say in every batch; correlation is not there yet, and every verdict says so. */
const first: TierReport = { tier: 1, ran: true, reason: null };
const third: TierReport = { tier: 3, ran: false, reason: "not_built" };

/** A verdict as it is stored and shown, with what the models say beside it. */
export function anomalyOf(verdict: Verdict, { report, opinions }: SecondOpinion, context: AnomalyContext): Anomaly {
  const { idKey, ...rest } = context;
  const tiers = [first, report, third];
  return { ...verdict, ...rest, id: anomalyId(verdict, idKey), tiers, models: opinions };
}

/** 128 bits in hex: the same threat, entity and identity window always have the same, and nobody can guess the entity. */
function anomalyId({ threat, entity, window }: Verdict, idKey: Uint8Array): string {
  const identity = [threat, entity, window.startMs, window.endMs].join("\n");
  return createHmac("sha256", idKey).update(identity).digest("hex").slice(0, 32);
}
