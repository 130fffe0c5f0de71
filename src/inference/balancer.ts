/** Calls in flight from which on an instance is loaded: an isolate computes one at a time, so the fourth waits for three. */
export const loadedFrom = 4;

/** What the balancer needs to know of an instance. */
export interface Balanced {
  readonly id: string;
  /** Its share of the calls: a whole number; with 0 it gets none. */
  readonly weight: number;
  /** Calls in flight. */
  readonly load: number;
}

/**
 * Chooses among the instances of one model, of which it is shown those that are healthy.
 *
 * Smooth weighted round robin: among `w₁ + w₂ + …` calls in a row each instance gets exactly its weight, spread evenly. As
 * soon as one is loaded: the power of two choices, since turns say nothing of how long calls take. An instance that
 * leaves takes its turn along, and starts anew when it returns.
 *
 * Sources: nginx, src/http/ngx_http_upstream_round_robin.c, commit 52327e0627f4 (smooth weighted balancing);
 * M. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001.
 */
export class Balancer {
  /** How far each is behind its share. */
  #turns = new Map<string, number>();
  readonly #chance: () => number;

  /** `chance`: 0 ≤ x < 1. */
  constructor(chance: () => number) {
    this.#chance = chance;
  }

  /** Undefined where there is none. */
  pick<T extends Balanced>(instances: readonly T[]): T | undefined {
    const weighted = instances.filter(({ weight }) => weight > 0);
    const isLoaded = weighted.length > 1 && weighted.some(({ load }) => load >= loadedFrom);
    return isLoaded ? this.#lessLoadedOfTwo(weighted) : this.#next(weighted);
  }

  #next<T extends Balanced>(instances: readonly T[]): T | undefined {
    const turns = new Map(instances.map(({ id, weight }) => [id, (this.#turns.get(id) ?? 0) + weight]));
    let best = instances[0];
    for (const one of instances) if (turns.get(one.id)! > turns.get(best.id)!) best = one;
    if (best) turns.set(best.id, turns.get(best.id)! - sumOfWeights(instances));
    this.#turns = turns;
    return best;
  }

  /** Two different ones by chance and weight; that which has less to do for its weight. */
  #lessLoadedOfTwo<T extends Balanced>(instances: readonly T[]): T {
    const first = this.#byWeight(instances);
    const second = this.#byWeight(instances.filter((one) => one !== first));
    return (second.load + 1) * first.weight < (first.load + 1) * second.weight ? second : first;
  }

  #byWeight<T extends Balanced>(instances: readonly T[]): T {
    let left = this.#chance() * sumOfWeights(instances);
    for (const one of instances) if ((left -= one.weight) < 0) return one;
    return instances.at(-1)!;
  }
}

function sumOfWeights(instances: readonly Balanced[]): number {
  return instances.reduce((sum, { weight }) => sum + weight, 0);
}
