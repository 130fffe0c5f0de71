import { Random } from "../support/random.ts";

export interface TrafficOptions {
  seed: number;
  /** Distinct addresses that the planned bodies bring, about. */
  entities: number;
  /** How many of them talk all day. */
  core: number;
  /** Bodies over which they are spread; more may be made. */
  bodies: number;
  flowsPerBody: number;
  /** Event time from one body to the next. */
  bodyMs: number;
  /** Hosts that one sweep touches: a source that touches more than 256 a day reaches a bound. */
  targetsPerSweep: number;
}

/** Two hours before midnight (UTC), so that even short runs close hours and a day; long ago, so that nothing is ahead. */
const startMs = Date.UTC(2026, 0, 5, 22);

const pairsPerHost = 2;
const servers = 50;
/** Each asked by its own hosts: one for all would fill a slot by itself. */
const resolvers = 25;
const beacons = 40;
const beaconEveryMs = 60_000;
const scanEveryMs = 10 * 60_000;
const scanMs = 30 * 60_000;
const portsPerScan = 150;
const floodEveryMs = 3_600_000;
const floodAtMs = 20 * 60_000;
const floodMs = 3 * 60_000;
const floodersMax = 300;
/** Requests a minute, twice what makes a flood. */
const floodPerMinute = 2000;

/**
 * VPC records of a network with a stable core and a stream of addresses that were never seen before, from a seed.
 *
 * The core are hosts that talk all day. Among them: beacons, one call a minute; port scans, a new one every
 * ten minutes; floods, three minutes of every hour. What is new are invented sources that are refused, visitors of a
 * web server that come once, and targets of sweeps, a third each.
 *
 * Every body can be made by itself, any number of times: its records follow from the seed and its number, and end
 * within its span of event time.
 */
export class Traffic {
  readonly options: TrafficOptions;
  /** Addresses of each body that no other has. */
  readonly freshPerBody: number;
  readonly #core: number;
  readonly #hosts: number;

  constructor(options: TrafficOptions) {
    this.options = options;
    this.#core = Math.min(options.core, Math.ceil(options.entities / 4));
    this.#hosts = Math.ceil(0.75 * this.#core);
    this.freshPerBody = Math.max(0, Math.round((options.entities - this.#fixed(0)) / options.bodies));
  }

  /** Distinct addresses of the first so many bodies; of the core all count, they come up in every minute. */
  entities(bodies: number): number {
    const { bodyMs, targetsPerSweep } = this.options;
    const fresh = bodies * this.freshPerBody;
    const sweepers = Math.ceil(fresh / 3 / targetsPerSweep);
    return this.#fixed(Math.ceil((bodies * bodyMs) / scanEveryMs)) + sweepers + fresh;
  }

  body(index: number): string {
    const random = new Random(this.options.seed).fork(`body ${index}`);
    const fromMs = startMs + index * this.options.bodyMs;
    const lines = new Lines(random, fromMs, this.options.bodyMs);
    this.#beacons(lines, fromMs);
    this.#scans(lines, fromMs);
    this.#floods(lines, fromMs);
    this.#fresh(lines, index);
    while (lines.length < this.options.flowsPerBody) this.#talk(lines);
    return lines.first(this.options.flowsPerBody);
  }

  #fixed(scans: number): number {
    return this.#core + servers + resolvers + 2 * beacons + floodersMax + 1 + scans;
  }

  #beacons(lines: Lines, fromMs: number): void {
    for (let b = 0; b < beacons; b++) {
      const everyMs = beaconEveryMs;
      const phaseMs = (b * 7919) % everyMs;
      const last = fromMs + this.options.bodyMs - phaseMs;
      for (let call = Math.ceil((fromMs - phaseMs) / everyMs); call * everyMs < last; call++) {
        const atMs = Math.min(call * everyMs + phaseMs + lines.random.int(0, 3000), fromMs + this.options.bodyMs - 1);
        const [sent, received] = [lines.random.int(318, 322), lines.random.int(556, 564)];
        lines.exchange(`10.21.0.${1 + b}`, `198.51.100.${1 + b}`, 8443, 6, [4, sent], [4, received], atMs);
      }
    }
  }

  #scans(lines: Lines, fromMs: number): void {
    const untilMs = fromMs + this.options.bodyMs;
    const first = Math.max(0, Math.floor((fromMs - startMs - scanMs) / scanEveryMs));
    for (let scan = first; startMs + scan * scanEveryMs < untilMs; scan++) {
      const beganMs = startMs + scan * scanEveryMs;
      const everyMs = scanMs / portsPerScan;
      const from = Math.max(0, Math.ceil((fromMs - beganMs) / everyMs));
      for (let knock = from; knock < portsPerScan && beganMs + knock * everyMs < untilMs; knock++) {
        const port = 1 + ((knock * 37 + scan) % 1024);
        lines.refused(address(0x2d_00_00_00 + scan), serverOf(scan), port, beganMs + knock * everyMs);
      }
    }
  }

  #floods(lines: Lines, fromMs: number): void {
    const { bodyMs, flowsPerBody } = this.options;
    const intoMs = (fromMs - startMs) % floodEveryMs;
    if (intoMs < floodAtMs || intoMs >= floodAtMs + floodMs) return;
    const hour = Math.floor((fromMs - startMs) / floodEveryMs);
    const count = Math.min((floodPerMinute * bodyMs) / 60_000, flowsPerBody / 3);
    for (let i = 0; i < count; i++) {
      const flooder = address(0x2e_00_00_00 + lines.random.int(0, floodersMax - 1));
      lines.refused(flooder, serverOf(hour + 1), 80, fromMs + lines.random.int(0, bodyMs - 1));
    }
  }

  /** Each number is drawn once: the same address never comes again. */
  #fresh(lines: Lines, index: number): void {
    const from = index * this.freshPerBody;
    for (let number = from; number < from + this.freshPerBody; number++) {
      const server = serverOf(lines.random.int(0, servers - 1));
      switch (number % 3) {
        case 0:
          lines.refused(newcomer(number), server, lines.random.pick([22, 80, 443, 445, 3389]));
          break;
        case 1:
          lines.exchange(newcomer(number), server, 443, 6, [6, lines.random.int(500, 900)], [8, 9000]);
          break;
        default: {
          const sweep = Math.floor(number / 3 / this.options.targetsPerSweep);
          lines.refused(address(0x2f_00_00_00 + sweep), inside(number), 445);
        }
      }
    }
  }

  /** A pair of the core, some of them far more often than others. */
  #talk(lines: Lines): void {
    const { random } = lines;
    const pair = Math.floor(random.next() ** 1.5 * this.#hosts * pairsPerHost);
    const hostIndex = pair % this.#hosts;
    const host = `10.20.${hostIndex >>> 7}.${1 + (hostIndex & 127)}`;
    const kind = random.next();
    if (kind < 0.1) {
      const resolver = `10.20.255.${1 + (hostIndex % resolvers)}`;
      lines.exchange(host, resolver, 53, 17, [1, random.int(60, 90)], [1, random.int(90, 300)]);
      return;
    }
    if (kind < 0.11) {
      lines.exchange(host, "192.0.2.123", 123, 17, [1, 76], [1, 76]);
      return;
    }
    const peers = this.#core - this.#hosts;
    const peer = (Math.imul(pair + 1, 0x9e3779b1) >>> 8) % peers;
    const packets = 1 + Math.floor(random.next() ** 4 * 200);
    const [sent, received] = [packets * random.int(60, 300), packets * random.int(60, 1200)];
    lines.exchange(host, `198.18.${peer >>> 7}.${1 + (peer & 127)}`, 443, 6, [packets, sent], [packets, received]);
  }
}

type Volume = readonly [packets: number, bytes: number];

/** Records whose ends lie within one span. */
class Lines {
  readonly random: Random;
  readonly #lines: string[] = [];
  readonly #fromMs: number;
  readonly #spanMs: number;

  constructor(random: Random, fromMs: number, spanMs: number) {
    this.random = random;
    this.#fromMs = fromMs;
    this.#spanMs = spanMs;
  }

  get length(): number {
    return this.#lines.length;
  }

  first(count: number): string {
    return this.#lines.slice(0, count).join("");
  }

  /** Both records that AWS makes of an exchange, one a direction. */
  exchange(
    client: string,
    server: string,
    service: number,
    protocol: number,
    sent: Volume,
    received: Volume,
    atMs = this.#anyMs(),
  ): void {
    const port = this.random.int(32768, 60999);
    const times = this.#times(atMs);
    this.#add(`${client} ${server} ${port} ${service} ${protocol} ${sent[0]} ${sent[1]} ${times} ACCEPT`);
    this.#add(`${server} ${client} ${service} ${port} ${protocol} ${received[0]} ${received[1]} ${times} ACCEPT`);
  }

  refused(source: string, target: string, service: number, atMs = this.#anyMs()): void {
    this.#add(`${source} ${target} ${this.random.int(1024, 65535)} ${service} 6 1 44 ${this.#times(atMs)} REJECT`);
  }

  #anyMs(): number {
    return this.#fromMs + this.random.int(0, this.#spanMs - 1);
  }

  #times(atMs: number): string {
    const second = Math.floor(atMs / 1000);
    return `${second} ${second}`;
  }

  #add(fields: string): void {
    this.#lines.push(`2 123456789012 eni-0aaaaaaaaaaaaaaaa ${fields} OK\n`);
  }
}

function serverOf(index: number): string {
  return `10.22.0.${1 + (index % servers)}`;
}

/** 2^26 addresses from outside, scattered: multiplying by an odd number is one to one. */
function newcomer(number: number): string {
  return address(0x40_00_00_00 + (Math.imul(number, 0x9e3779b1) & 0x3ff_ffff));
}

/** 2^23 of the own network. */
function inside(number: number): string {
  return address(0x0a_80_00_00 + (Math.imul(number, 0x9e3779b1) & 0x7f_ffff));
}

function address(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}
