/** How much of a tier runs at a time, and how much may wait for it. */
interface TierBounds {
  /** Calls that run at a time. */
  running: number;
  /** Items of the calls that wait; one call may always wait, whatever it brings. */
  waiting: number;
}

/**
 * Of an isolate: records of batches on their way through shards, as many as the largest batch has; and candidates on their
 * way through models. What waits holds memory, and who finds the line full is better told so at once than late.
 */
const tierBounds = {
  statistics: { running: 10, waiting: 200_000 },
  models: { running: 5, waiting: 1_000 },
} as const satisfies Record<string, TierBounds>;

/** The doors of an isolate's tiers. */
export type Doors = Readonly<Record<keyof typeof tierBounds, Admission>>;

export function openDoors(): Doors {
  return { statistics: new Admission(tierBounds.statistics), models: new Admission(tierBounds.models) };
}

/** The door of a tier: in order of arrival, so many at a time. */
export class Admission {
  readonly #bounds: TierBounds;
  #running = 0;
  #waitingItems = 0;
  readonly #waiting: { items: number; enter: () => void }[] = [];

  constructor(bounds: TierBounds) {
    this.#bounds = bounds;
  }

  /** Does the work once there is room; undefined, at once, where too much waits already. */
  async run<T>(items: number, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#running >= this.#bounds.running) {
      if (this.#waiting.length > 0 && this.#waitingItems + items > this.#bounds.waiting) return undefined;
      await this.#turn(items);
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  /** Who leaves hands the room over: nobody who comes meanwhile can take it. */
  #next(): void {
    const next = this.#waiting.shift();
    if (!next) {
      this.#running--;
      return;
    }
    this.#waitingItems -= next.items;
    next.enter();
  }

  #turn(items: number): Promise<void> {
    this.#waitingItems += items;
    return new Promise((enter) => this.#waiting.push({ items, enter }));
  }
}
