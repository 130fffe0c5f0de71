import { entryOf, type AuditEntry } from "../security/audit-chain.ts";
import type { AuditDetail, AuditEvent } from "../security/audit.ts";

const minuteMs = 60_000;

/** Failures of an actor that an isolate writes as rows of their own, a minute: enough to see what somebody tries. */
const failuresOfActorMax = 10;
/** Failures of a tenant, whoever its actors are: who invents actors shall not fill the chain. */
const failuresOfTenantMax = 60;
/** Counts that an isolate holds, 0.5 KiB each; above, those of a tenant's actors that are not there yet are one. */
const countsMax = 1_000;
/** Stands for all actors that are too many to tell apart; no key has this id. */
const everyOther = "*";

interface Count {
  tenant: string;
  event: AuditEvent;
  /** When the first happened. */
  atMs: number;
  count: number;
}

/** What happens too often for a row each: an entry for each (tenant, action, actor, outcome) and minute. */
export class AuditCounts {
  readonly #counts = new Map<string, Count>();
  /** By actor and by tenant, in the minute that is named. */
  readonly #failures = new Map<string, number>();
  #failuresMinute = 0;
  /** Nothing is there but of this minute. */
  #takenMinute = 0;

  /** The details of a count are those that all of its events have. */
  add(tenant: string, event: AuditEvent, times: number, nowMs: number): void {
    let { actor } = event;
    if (this.#counts.size >= countsMax && !this.#counts.has(keyOf(tenant, event, nowMs))) actor = everyOther;
    const key = keyOf(tenant, { ...event, actor }, nowMs);
    const known = this.#counts.get(key);
    if (known) {
      known.count += times;
      known.event.detail = common(known.event.detail, event.detail);
    } else {
      const { action, outcome, detail } = event;
      this.#counts.set(key, { tenant, event: { action, actor, outcome, detail }, atMs: nowMs, count: times });
    }
  }

  /** Takes out what belongs to minutes that are over, by tenant. */
  takeOver(nowMs: number): Map<string, AuditEntry[]> {
    const minute = minuteOf(nowMs);
    if (minute === this.#takenMinute) return new Map();
    this.#takenMinute = minute;
    return this.#take(({ atMs }) => minuteOf(atMs) !== minute);
  }

  takeAll(): Map<string, AuditEntry[]> {
    return this.#take(() => true);
  }

  /** Whether a failure may have a row of its own. */
  mayRecordFailure(tenant: string, actor: string, nowMs: number): boolean {
    if (minuteOf(nowMs) !== this.#failuresMinute) this.#failures.clear();
    this.#failuresMinute = minuteOf(nowMs);
    const keys = [JSON.stringify([tenant]), JSON.stringify([tenant, actor])];
    const [ofTenant, ofActor] = keys.map((key) => this.#failures.get(key) ?? 0);
    if (ofTenant >= failuresOfTenantMax || ofActor >= failuresOfActorMax) return false;
    for (const key of keys) this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1);
    return true;
  }

  #take(isTaken: (count: Count) => boolean): Map<string, AuditEntry[]> {
    const taken = new Map<string, AuditEntry[]>();
    for (const [key, one] of this.#counts) {
      if (!isTaken(one)) continue;
      this.#counts.delete(key);
      const entries = taken.get(one.tenant) ?? [];
      entries.push(entryOf(one.event, one.atMs, one.count));
      taken.set(one.tenant, entries);
    }
    return taken;
  }
}

function minuteOf(atMs: number): number {
  return Math.floor(atMs / minuteMs);
}

function keyOf(tenant: string, { action, actor, outcome }: AuditEvent, nowMs: number): string {
  return JSON.stringify([tenant, action, actor, outcome, minuteOf(nowMs)]);
}

/** The members that are the same in both. */
function common(one: AuditDetail = {}, other: AuditDetail = {}): AuditDetail {
  return Object.fromEntries(Object.entries(one).filter(([name, value]) => other[name] === value));
}
