import type { Clock } from "../../src/config.ts";
import { Random } from "../support/random.ts";

interface Event {
  atMs: number;
  /** Decides among events of the same time. */
  turn: number;
  run: () => void;
}

/**
 * Virtual time, and a seed that decides in which order things happen that could happen in any. Nothing in it waits for
 * the real clock: whatever the parts await is an event here.
 */
export class World {
  nowMs = Date.UTC(2026, 2, 1);
  readonly #random: Random;
  #events: Event[] = [];
  /** How far the wall clock of each machine is off. */
  #skewMs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The wall clock, which may jump; and chance. */
  readonly clock: Clock = {
    nowMs: () => Math.floor(this.nowMs + this.#skewMs),
    wait: (ms) => this.sleep(ms),
    chance: () => this.#random.next(),
  };

  jump(ms: number): void {
    this.#skewMs = ms;
  }

  at(atMs: number, run: () => void): void {
    const event = { atMs: Math.max(this.nowMs, atMs), turn: this.#random.next(), run };
    let i = this.#events.length;
    while (i > 0 && isLater(event, this.#events[i - 1])) i--;
    this.#events.splice(i, 0, event);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(this.nowMs + ms, resolve));
  }

  /** As long as a message takes, or a write: mostly some ms, now and then much longer. */
  delay(): Promise<void> {
    return this.sleep(this.#random.chance(0.05) ? this.#random.int(100, 900) : this.#random.int(1, 20));
  }

  /** Lets things happen until `isOver`, or nothing is left to happen. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const event = this.#events.pop();
      if (!event) throw new Error("everybody waits for something that never happens");
      this.nowMs = event.atMs;
      event.run();
      await settled();
    }
  }
}

/** The queue ends with what happens first. */
function isLater(a: Event, b: Event): boolean {
  return a.atMs > b.atMs || (a.atMs === b.atMs && a.turn > b.turn);
}

/** After everything that the last event set free. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
