import { play } from "../../test/sweep/play.ts";
import { copyShifted } from "../../test/sweep/rows.ts";
import type { CaptureRows } from "../../test/sweep/scene.ts";
import { FlowBatch } from "../core/flow/flow-batch.ts";
import { canonical } from "./score.ts";
import { readBenign, readCapture } from "./sweep.ts";
import { table } from "./table.ts";
import type { CaptureTruth, Truth } from "./truth.ts";

/** What came of one attack in one benign capture. */
export interface Laid {
  attack: string;
  over: string;
  /** Whether a ddos verdict of medium severity or above named one of the attack's entities. */
  found: boolean;
  /** Everybody else whom one named. */
  falselyRaised: string[];
  /** Alerts of other threats: the attack's sources may scan as well. */
  others: number;
}

/** Lays each capture that is nothing but DDoS over the middle of each benign one, in event time. */
export async function overlay(folder: string, truth: Truth): Promise<Laid[]> {
  const attacks = Object.entries(truth).filter(([, { events }]) => isDdos(events));
  const benign = await readBenign(folder, truth);
  const laid: Laid[] = [];
  for (const [name, one] of attacks) {
    const attack = await readCapture(folder, name, one);
    for (const under of benign) laid.push(layOver(attack, under, one));
  }
  return laid;
}

function isDdos(events: CaptureTruth["events"]): boolean {
  return events.length > 0 && events.every(({ threat }) => threat === "ddos");
}

function layOver(attack: CaptureRows, under: CaptureRows, { events }: CaptureTruth): Laid {
  const shifted = new FlowBatch();
  copyShifted(attack.rows, Math.round(middleOf(under.rows) - middleOf(attack.rows)), Infinity, shifted);
  const internal = [...attack.internal, ...under.internal];
  const { alerts } = play([under.rows, shifted], { internal });
  const victims = new Set(events.flatMap(({ entity }) => [entity].flat()).map(canonical));
  const named = new Set(alerts.filter(({ verdict }) => verdict.threat === "ddos").map(({ verdict }) => verdict.entity));
  return {
    attack: attack.name,
    over: under.name,
    found: [...named].some((entity) => victims.has(entity)),
    falselyRaised: [...named].filter((entity) => !victims.has(entity)),
    others: alerts.filter(({ verdict }) => verdict.threat !== "ddos").length,
  };
}

function middleOf({ length, startMs, endMs }: FlowBatch): number {
  let [first, last] = [Infinity, -Infinity];
  for (let i = 0; i < length; i++) {
    first = Math.min(first, startMs[i]);
    last = Math.max(last, endMs[i]);
  }
  return (first + last) / 2;
}

export function overlayText(laid: readonly Laid[]): string {
  const rows = laid.map(({ attack, over, found, falselyRaised, others }) => [
    attack,
    over,
    found ? "yes" : "no",
    falselyRaised.length,
    others,
    falselyRaised.slice(0, 5).join(" "),
  ]);
  const raised = laid.reduce((sum, { falselyRaised }) => sum + falselyRaised.length, 0);
  return [
    table(["attack", "over", "victim found", "false", "other threats", "falsely raised"], rows),
    "",
    `victim found in ${laid.filter(({ found }) => found).length} of ${laid.length}, ${raised} others raised by ddos`,
  ].join("\n");
}
