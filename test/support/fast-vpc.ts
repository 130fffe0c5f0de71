import { Random } from "./random.ts";

interface FastVpcOptions {
  seed: number;
  flows: number;
  /** The first flow begins here; the last one `spanMs` later. */
  startMs: number;
  spanMs: number;
  /** Share of the flows that belong to a scan of one host: 0 unless told. */
  scanShare?: number;
  /** Who scans; a new address makes a new verdict. */
  scanner?: string;
}

/** Pairs of hosts that talk most of the day, and how many others come up each minute. */
const regularPairs = 700;
const pairsPerMinute = 100;
const popularHosts = 400;

/**
 * VPC records for benches, cheap to make and mixed like real ones: in 5,000 records some 800 hosts and as many pairs
 * of them (the labelled captures have 40 to 1,600). Web traffic, name lookups and time, each exchange as the two
 * records that AWS makes of it, one a direction; and rejects, the noise of the Internet.
 */
export function fastVpc(options: FastVpcOptions): string {
  const { seed, flows, startMs, spanMs, scanShare = 0, scanner = "203.0.113.66" } = options;
  const random = new Random(seed);
  const start = Math.floor(startMs / 1000);
  const lines: string[] = [];
  while (lines.length < flows) {
    const at = start + Math.floor((lines.length / flows) * (spanMs / 1000));
    const times = `${at} ${at + random.int(0, 59)}`;
    const minute = Math.floor(at / 60);
    const pair = random.chance(0.1)
      ? regularPairs + minute * pairsPerMinute + random.int(0, pairsPerMinute - 1)
      : Math.floor(random.next() ** 2 * regularPairs);
    const mixed = Math.imul(pair + 1, 0x9e3779b1) >>> 0;
    const host = 2 + ((mixed >>> 4) % 250);
    const inside = `10.20.0.${host}`;
    const peer = pair < regularPairs ? pair % popularHosts : pair;
    const outside = `198.18.${(peer >>> 7) & 255}.${1 + (peer & 127)}`;
    const eni = `eni-0${host.toString(16).padStart(16, "a")}`;
    const port = random.int(32768, 60999);
    const kind = random.next();
    const record = (ends: string, action = "ACCEPT") => {
      lines.push(`2 123456789012 ${eni} ${ends} ${times} ${action} OK\n`);
    };
    const exchange = (server: string, service: number, protocol: number, sent: string, received: string) => {
      record(`${inside} ${server} ${port} ${service} ${protocol} ${sent}`);
      record(`${server} ${inside} ${service} ${port} ${protocol} ${received}`);
    };
    if (kind < scanShare) {
      record(`${scanner} 10.20.0.20 ${port} ${random.int(1, 65535)} 6 1 44`, "REJECT");
    } else if (kind < 0.8) {
      const packets = 1 + Math.floor(random.next() ** 4 * 200);
      exchange(
        outside,
        443,
        6,
        `${packets} ${packets * random.int(60, 300)}`,
        `${packets} ${packets * random.int(60, 1200)}`,
      );
    } else if (kind < 0.93) exchange("10.20.0.2", 53, 17, `1 ${random.int(60, 90)}`, `1 ${random.int(90, 300)}`);
    else if (kind < 0.95) exchange("192.0.2.123", 123, 17, "1 76", "1 76");
    else record(`${outside} ${inside} ${port} ${random.pick([22, 23, 80, 445, 3389, 8080])} 6 1 44`, "REJECT");
  }
  return lines.slice(0, flows).join("");
}
