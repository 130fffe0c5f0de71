import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../../src/cli/statistics.ts";
import type { Pipeline } from "../../src/tiers/pipeline.ts";
import { cpuMs } from "../bench/cpu.ts";
import type { Random } from "../support/random.ts";
import type { Server } from "./server.ts";
import type { Shipper } from "./shipper.ts";

export interface Kill {
  atMs: number;
  /** Requests without an answer at that moment. */
  in_flight: number;
  /** From the kill until the new process took requests. */
  restart_ms: number;
  /** From its first request to the answer: it waits until every shard has its state again. */
  restore_ms: number;
  /** CPU time of the process meanwhile, where the system tells. */
  restore_cpu_ms: number | null;
  /** Until when requests suffered from it. */
  untilMs: number;
  /** Most of any shard. */
  log_entries: number;
  bytes: number;
  set_aside: number;
  lost_slots: number;
}

/** It hits at any time of a request's life, judged by so many recent ones. */
const recentTries = 20;
const aimMsMax = 100;
/** Without requests for so long, there is no load. */
const idleMsMax = 10_000;
/** What piles up meanwhile is worked off in at least so much time, or as much as it took to pile up. */
const aftermathMsMin = 3000;

/** Kills the server, always while requests are in flight, and starts it again. */
export class Killer {
  readonly kills: Kill[] = [];
  readonly #server: Server;
  readonly #shipper: Shipper;
  readonly #probe: Shipper;
  readonly #random: Random;

  /** `probe`: a connection of its own, to be the first after a restart. */
  constructor(server: Server, shipper: Shipper, probe: Shipper, random: Random) {
    this.#server = server;
    this.#shipper = shipper;
    this.#probe = probe;
    this.#random = random;
  }

  /** At `count` random times of the next `spanMs`. */
  async spread(count: number, spanMs: number): Promise<void> {
    const startMs = performance.now();
    const times = Array.from({ length: count }, () => startMs + spanMs * this.#random.next()).sort((a, b) => a - b);
    for (const timeMs of times) {
      await sleep(Math.max(0, timeMs - performance.now()));
      await this.strike();
    }
  }

  async strike(): Promise<void> {
    const untilMs = performance.now() + idleMsMax;
    do {
      await Promise.race([this.#shipper.nextSent(), sleep(idleMsMax, undefined, { ref: false })]);
      if (performance.now() > untilMs) throw new Error("No request was there to be killed.");
      await sleep(this.#aim() * this.#lifeMs());
    } while (this.#shipper.inFlight === 0);
    const [atMs, in_flight] = [performance.now(), this.#shipper.inFlight];
    await this.#server.kill();
    await this.#server.start();
    const startedMs = performance.now();
    const startedCpuMs = cpuMs(this.#server.pid);
    const { shards } = await this.#probe.get<Pipeline>("/v1/pipeline");
    const restoredMs = performance.now();
    const restoredCpuMs = cpuMs(this.#server.pid);
    const most = (of: (restored: Pipeline["shards"][number]["restored"]) => number) =>
      Math.max(...shards.map(({ restored }) => of(restored)));
    this.kills.push({
      atMs,
      in_flight,
      restart_ms: startedMs - atMs,
      restore_ms: restoredMs - startedMs,
      restore_cpu_ms: restoredCpuMs === undefined || startedCpuMs === undefined ? null : restoredCpuMs - startedCpuMs,
      untilMs: restoredMs + Math.max(aftermathMsMin, restoredMs - atMs),
      log_entries: most(({ entries }) => entries),
      bytes: most(({ bytes }) => bytes),
      set_aside: most(({ set_aside }) => set_aside),
      lost_slots: most(({ lost_slots }) => lost_slots),
    });
  }
  /** As a share of a request's life: any time, or half of the time about its end, between writing down and answering. */
  #aim(): number {
    return this.#random.chance(0.5) ? this.#random.next() : 0.7 + 0.5 * this.#random.next();
  }

  /** What a request takes at present. */
  #lifeMs(): number {
    const answered = this.#shipper.tries.filter(({ outcome }) => outcome === 200).slice(-recentTries);
    return median(answered.map(({ ms }) => ms)) ?? aimMsMax;
  }
}
