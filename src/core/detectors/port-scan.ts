import { RecentKeys } from "../sketches/recent-keys.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import type { Detector, Evicted, Opinion, SlotContacts, SlotDetector } from "./detector.ts";
import { concernsNetworks, concernsTargets, networkScans, targetScans } from "./port-scan/joint-scans.ts";
import { thresholds, version, type PortScanSettings } from "./port-scan/settings.ts";
import { SourceScans } from "./port-scan/source-scans.ts";
import { windowed } from "./windowed.ts";

/**
 * Port scan: a source tries many ports of one host (vertical), one port of many hosts (horizontal, or an ICMP sweep),
 * or several ports of several hosts (block), and nearly nothing answers; or many sources share that work.
 *
 * Method: per source and window (an hour; and a day of two halves, for slow scans) the distinct (target, port,
 * protocol) that it tried, each with its outcomes, in a bottom-k sample that keeps what failed apart from what did not.
 * A sequential test on them that does not depend on order must see a scanner: each distinct attempt that failed
 * multiplies the odds by 4, each that was answered divides them, and 99 is asked for. Then the failed ports of one
 * target, the failed targets of one port, or the failed pairs of a block must reach a threshold; hosts of our own that
 * never send anything lower it. Where the log shows no outcomes, plain distinct counts must reach a multiple of it.
 * A day is judged together with the later half of the day before, too, so that midnight (UTC) hides nothing. What
 * comes from a service's port to ports of one client's, and is no SYN, is an answer and no scan.
 * Distributed scans: per network outside (/24, /64) and day, what failed for all of its addresses, unless one of them is
 * found by itself; per host of our own and day, the ports that were tried in vain, and how many each source tried: the
 * Internet's noise comes from strangers who try one or two, a shared scan from sources that try several.
 * Bounds: per source and window 64 attempts, 64 that failed and 16 that were answered, of 12 bytes (24 of IPv6), and
 * 256 bytes of counts; the same per network and host, and 32 sources. Counts are exact up to 64 and ±13 % beyond; of
 * what is a small part of a sample, only so much counts as there is for certain.
 * Misses: scans slower than the day's threshold; scans of open ports only; sweeps cut by the hour into parts that are
 * small each; small scans by a host of which hundreds of other attempts fail; shared scans of a host on which strangers
 * knock all day, or in logs without outcomes; hosts of our own that change their address; several hosts behind one
 * address look like one.
 * Source: Jung, Paxson, Berger, Balakrishnan, Fast Portscan Detection Using Sequential Hypothesis Testing, IEEE S&P
 * 2004 (θ0 = 0.8, θ1 = 0.2, α = 0.01, β = 0.99); thresholds after Zeek's scan script (15 ports) and simple-scan (25
 * hosts from outside, 10 where 3 are dark).
 */
export const portScan: Detector<PortScanSettings> = {
  id: "port_scan",
  version,
  thresholds,
  create: (initial, saved) => new PortScans(initial, saved),
};

const nothingNew: Opinion[] = [];

/**
 * Of one slot, in three parts. The joint scans are left alone by contacts that do not concern them: between two batches
 * a slot's memory has gone cold, and to look whether there is news takes longer than to tell that there is none.
 */
class PortScans implements SlotDetector {
  /** The sources first: what one of them did alone is not said of its network. */
  readonly #parts: readonly SlotDetector[];
  readonly #sources: SourceScans;
  readonly #networks: SlotDetector;
  readonly #targets: SlotDetector;
  /** Whether they may have news. */
  #wakesNetworks = true;
  #wakesTargets = true;
  #closedMs = -Infinity;
  readonly #recent = { sources: new RecentKeys(), networks: new RecentKeys(), targets: new RecentKeys() };

  constructor(initial: Readonly<PortScanSettings>, saved: StateReader | undefined) {
    const sources = new SourceScans(initial, this.#recent.sources, saved);
    const networks = networkScans(this.#recent.networks, (network) => sources.hasFound(network));
    this.#sources = sources;
    this.#networks = windowed(networks, initial, saved);
    this.#targets = windowed(targetScans(this.#recent.targets), initial, saved);
    this.#parts = [this.#sources, this.#networks, this.#targets];
  }

  learn(contacts: SlotContacts): void {
    this.#sources.learn(contacts);
    if (concernsNetworks(contacts)) {
      this.#wakesNetworks = true;
      this.#networks.learn(contacts);
    }
    if (concernsTargets(contacts)) {
      this.#wakesTargets = true;
      this.#targets.learn(contacts);
    }
  }

  findings(closedMs: number): Opinion[] {
    const hasClosed = closedMs !== this.#closedMs;
    const own = this.#sources.findings(closedMs);
    const ofNetworks = hasClosed || this.#wakesNetworks ? this.#networks.findings(closedMs) : nothingNew;
    const ofTargets = hasClosed || this.#wakesTargets ? this.#targets.findings(closedMs) : nothingNew;
    this.#closedMs = closedMs;
    this.#wakesNetworks = this.#wakesTargets = false;
    return ofNetworks.length + ofTargets.length > 0 ? [...own, ...ofNetworks, ...ofTargets] : own;
  }

  configure(settings: object): void {
    for (const part of this.#parts) part.configure(settings);
  }

  save(writer: StateWriter): void {
    for (const part of this.#parts) part.save(writer);
  }

  get bytes(): number {
    return bytesOf(this.#parts);
  }

  get entities(): number {
    return this.#parts.reduce((sum, { entities }) => sum + entities, 0);
  }

  settle(bytesMax: number, hardBytesMax: number): Evicted {
    const evicted = settleParts(this.#parts, bytesMax, hardBytesMax);
    if (evicted.entities > 0) for (const keys of Object.values(this.#recent)) keys.clear();
    return evicted;
  }
}

function bytesOf(parts: readonly SlotDetector[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Each part forgets down to its share. What one of them may not forget, the others make room for. */
function settleParts(parts: readonly SlotDetector[], bytesMax: number, hardBytesMax: number): Evicted {
  const total = Math.max(1, bytesOf(parts));
  const evicted = parts.map((part) => {
    const share = part.bytes / total;
    return part.settle(shareOf(bytesMax, share), shareOf(hardBytesMax, share));
  });
  for (const part of bytesOf(parts) > bytesMax ? parts : []) {
    const others = bytesOf(parts) - part.bytes;
    evicted.push(part.settle(Math.max(0, bytesMax - others), Math.max(0, hardBytesMax - others)));
  }
  return {
    entities: evicted.reduce((sum, { entities }) => sum + entities, 0),
    alarmed: evicted.flatMap(({ alarmed }) => alarmed),
  };
}

/** Of nothing, none of a bound without end. */
function shareOf(bytesMax: number, share: number): number {
  return share === 0 ? 0 : bytesMax * share;
}
