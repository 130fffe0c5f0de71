import type { Point, Wanted } from "./grid.ts";
import { play, type Alert, type Played, type Saying } from "./play.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import { makeScene, type Owner, type Scene, type SceneOptions } from "./scene.ts";
import type { Planted, Section } from "./section.ts";

export interface JudgedPoint {
  point: Point;
  wanted: Wanted;
  found: boolean;
  /** From its first record to the batch that brought the first verdict, in event time; null where not found. */
  afterS: number | null;
  /** Of scans by one source: whether the batch that crossed the threshold brought it; null where not found. */
  inBatch: boolean | null;
  /** Contacts of a beacon up to the batch that brought the first verdict, in intervals from its start. */
  intervals: number | null;
}

/** A verdict about somebody who did nothing. */
export interface FalseAlarm {
  threat: string;
  entity: string;
  severity: string;
  /** Of the look-alike that it is about; `background`, or `silent point`. */
  kind: string;
  /** Whether its window began before the first attack. */
  isEarly: boolean;
  summary: string;
}

export interface JudgedScene {
  section: string;
  seed: number;
  background: string;
  points: JudgedPoint[];
  /** How many of each kind there were. */
  lookalikes: { [kind: string]: number };
  falseAlarms: FalseAlarm[];
  flows: number;
  late: number;
  /** Making the records, and playing them. */
  makingS: number;
  playingS: number;
}

/** In the first four hours of attacks begins all that is fast. */
const fineMs = 4 * 3_600_000;

/** Longest span of a batch: five minutes before the attacks, then the section's, and a minute once they are under way. */
export function spanOf(atMs: number, attackMs: number, batchS: number, quick: boolean): number {
  if (atMs < attackMs) return quick ? 1_500_000 : 300_000;
  const spanMs = atMs < attackMs + fineMs ? 1000 * batchS : 60_000;
  return quick ? 5 * spanMs : spanMs;
}

export function judgeScene(options: SceneOptions): JudgedScene {
  const { section, seed, background, quick = false } = options;
  const began = performance.now();
  const scene = makeScene(options);
  const { world, internal, owners } = scene;
  const makingS = (performance.now() - began) / 1000;
  const played = play([world.flows], {
    internal,
    spanMs: (atMs) => spanOf(atMs, world.attackMs, section.batchS, quick),
  });
  const lookalikes: { [kind: string]: number } = {};
  for (const owner of owners) {
    if (owner && "kind" in owner) lookalikes[owner.kind] = (lookalikes[owner.kind] ?? 0) + 1;
  }
  return {
    section: section.id,
    seed,
    background: typeof background === "string" ? background : background.name,
    ...judge(section, scene, played),
    lookalikes,
    flows: played.flows,
    late: played.late,
    makingS,
    playingS: played.seconds,
  };
}

export function judge(
  section: Section,
  scene: Scene,
  played: Played,
): { points: JudgedPoint[]; falseAlarms: FalseAlarm[] } {
  const { world, owners } = scene;
  const clients = new Set(world.clients.map((client) => world.textOf(client)));
  const found = new Map<number, Saying>();
  const falseAlarms = new Map<string, FalseAlarm>();
  const kindOf = (entity: string) =>
    world
      .ownersOf(entity)
      .map((number) => lookalikeOf(owners[number]))
      .find(Boolean);
  for (const alert of played.alerts) {
    const { verdict, said } = alert;
    const { threat, entity, severity, summary, peers, window } = verdict;
    const mine = world.ownersOf(entity);
    const about = mine.filter((number) => {
      const planted = plantedOf(owners[number]);
      if (!planted || !isAbout(scene, planted, verdict)) return false;
      return isOpen(section, verdict) ? isSince(scene, planted, alert) : threat === section.threat;
    });
    for (const number of about) {
      const first = said.find((one) => isAbout(scene, plantedOf(owners[number])!, one.verdict));
      if (first && first.batch < (found.get(number)?.batch ?? Infinity)) found.set(number, first);
    }
    if (about.length > 0) continue;
    // A service that all hosts use says more about a false alarm than the host.
    const services = peers.map(({ address }) => address).filter((address) => !clients.has(address));
    const isAside = mine.some((number) => isBeside(scene, section, plantedOf(owners[number]), alert));
    const kind = services.map(kindOf).find(Boolean) ?? kindOf(entity) ?? (isAside ? "host of a point" : undefined);
    if (kind === undefined && mine.length > 0) continue;
    const name = `${threat} ${entity}`;
    if (!falseAlarms.has(name))
      falseAlarms.set(name, {
        threat,
        entity,
        severity,
        kind: kind ?? "background",
        isEarly: window.startMs < world.attackMs,
        summary,
      });
  }
  const points = owners.flatMap((owner, number) => {
    if (!owner || "kind" in owner) return [];
    const { point, planted } = owner;
    const first = found.get(number);
    const wanted = section.wanted(point);
    if (first && wanted === "silent") {
      const { threat, entity, severity, summary } = first.verdict;
      falseAlarms.set(`${threat} ${entity}`, {
        threat,
        entity,
        severity,
        kind: "silent point",
        isEarly: false,
        summary,
      });
    }
    return [{ point, wanted, found: first !== undefined, ...delays(section, point, planted, first, played) }];
  });
  return { points, falseAlarms: [...falseAlarms.values()] };
}

/** Whether hours alone say what a verdict is about: an anomaly is whatever a host does. */
function isOpen({ isAnyThreat }: Section, { threat }: Verdict): boolean {
  return threat === "anomaly" || isAnyThreat === true;
}

/** Whether it is about hours in which the point did something, and was said since. */
function isSince(scene: Scene, planted: Planted, { verdict: { window }, said }: Alert): boolean {
  const { startMs, endMs = scene.world.endMs } = planted;
  const first = said.find(({ verdict }) => isAbout(scene, planted, verdict));
  return window.endMs > startMs && window.startMs < endMs && first !== undefined && first.atMs >= startMs;
}

/** Whether it is about a point's host, but about what that always did: somebody whom it called before, or other hours. */
function isBeside(scene: Scene, section: Section, planted: Planted | undefined, alert: Alert): boolean {
  if (!planted || !isOpen(section, alert.verdict)) return false;
  const isIts = planted.entities.some((entity) => scene.world.names(alert.verdict.entity, entity, false));
  return isIts && !isSince(scene, planted, alert);
}

function lookalikeOf(owner: Owner | undefined): string | undefined {
  return owner && "kind" in owner ? owner.kind : undefined;
}

function plantedOf(owner: Owner | undefined): Planted | undefined {
  return owner && "planted" in owner ? owner.planted : undefined;
}

/** Whether a verdict names whom the point planted. */
function isAbout({ world }: Scene, { entities, peers, orPrefix }: Planted, verdict: Verdict): boolean {
  if (!entities.some((entity) => world.names(verdict.entity, entity, orPrefix === true))) return false;
  if (peers === undefined || verdict.peers.length === 0 || verdict.threat === "anomaly") return true;
  const texts = new Set(peers.map((peer) => world.textOf(peer)));
  return verdict.peers.some(({ address }) => texts.has(address));
}

type Delays = Pick<JudgedPoint, "afterS" | "inBatch" | "intervals">;

function delays(
  { threat }: Section,
  point: Point,
  planted: Planted,
  first: Saying | undefined,
  played: Played,
): Delays {
  if (!first) return { afterS: null, inBatch: null, intervals: null };
  const { startMs, momentsMs = [] } = planted;
  const afterS = Math.max(0, first.atMs - startMs) / 1000;
  const isScan = threat === "port_scan" && momentsMs.length > 0;
  const isBeacon = threat === "c2_beacon";
  const last = momentsMs.filter((ms) => ms <= first.atMs).at(-1) ?? startMs;
  return {
    afterS,
    inBatch: isScan ? first.batch <= crossing(first, momentsMs, played) : null,
    intervals: isBeacon ? Math.ceil((last - startMs) / 1000 / Number(point.intervalS)) : null,
  };
}

/** The batch with the failed attempt that reaches the threshold in force. */
function crossing({ verdict }: Saying, momentsMs: readonly number[], { batchEndsMs }: Played): number {
  const { thresholds, threshold } = verdict.evidence as { thresholds?: { in_force: number }[]; threshold?: number };
  const inForce = thresholds?.[0]?.in_force ?? threshold ?? Infinity;
  const atMs = momentsMs[Math.ceil(inForce) - 1];
  return atMs === undefined ? -1 : batchEndsMs.findIndex((endMs) => endMs >= atMs);
}
