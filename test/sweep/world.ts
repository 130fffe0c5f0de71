import { formatAddress, parseAddress, wordsAt } from "../../src/core/flow/address.ts";
import { FlowBatch, Initiator, Outcome, Protocol, Tcp } from "../../src/core/flow/flow-batch.ts";
import type { Connection } from "../support/connection.ts";
import { Random } from "../support/random.ts";

/** One record, as logged; sizes are payload. What is left out is TCP from a random port, sent by the source alone. */
export interface Row {
  source: number;
  target: number;
  port: number;
  sourcePort?: number;
  protocol?: number;
  startMs: number;
  durationMs?: number;
  sentBytes?: number;
  sentPackets?: number;
  receivedBytes?: number;
  receivedPackets?: number;
  flags?: number;
  outcome?: Outcome;
  initiator?: Initiator;
}

/** What an exchange that was served needs: packets follow from the sizes. */
export interface Exchange {
  source: number;
  target: number;
  port: number;
  sourcePort?: number;
  udp?: boolean;
  startMs: number;
  durationMs: number;
  sent: number;
  received: number;
}

const segmentBytes = 1460;
const wholeTcp = Tcp.Syn | Tcp.Ack | Tcp.Fin;
/** ICMP echo requests, as the batch has their type and code in place of a port. */
export const echoPort = { v4: 8 << 8, v6: 128 << 8 };

/** The hosts of a block, from 0 on. */
export type Block = (host: number) => number;

/**
 * The traffic of one scene, and who is who in it. Owner 0 is the background; everything that is planted has a number,
 * and owns the addresses that it was first to use: so a verdict about one of them, or about its /24 (/48), is its.
 *
 * Inside are 10.32.0.0/11 and above, and fd00::/8; outside 240.0.0.0/4, which nobody has, and 2001:db8::/32.
 */
export class World {
  readonly flows = new FlowBatch(1 << 16);
  /** What the one whom it plants for draws from, and whether its addresses are IPv6: a quarter of all owners. */
  random = new Random(0);
  isV6 = false;
  /** The tenant's own hosts that people or programs work on. */
  readonly clients: number[] = [];
  readonly startMs: number;
  readonly endMs: number;
  /** From when on attacks are planted. */
  readonly attackMs: number;
  readonly #ownerOf: number[] = [];
  readonly #later: (() => void)[] = [];
  readonly #seen = new Set<string>();
  #owner = 0;
  #insideBlocks = 0;
  #outsideBlocks = 0;

  constructor(span: { startMs: number; endMs: number; attackMs: number }) {
    ({ startMs: this.startMs, endMs: this.endMs, attackMs: this.attackMs } = span);
  }

  /** What follows belongs to this owner. */
  begin(owner: number, random: Random): void {
    this.#owner = owner;
    this.random = random;
    this.isV6 = random.chance(0.25);
  }

  /** To be done when all hosts are known, in this owner's name. */
  later(work: () => void): void {
    const [owner, random, isV6] = [this.#owner, this.random, this.isV6];
    this.#later.push(() => {
      [this.#owner, this.random, this.isV6] = [owner, random, isV6];
      work();
    });
  }

  /** Whether nobody asked about this before. */
  isFirst(name: string): boolean {
    return this.#seen.size < this.#seen.add(name).size;
  }

  finish(): void {
    for (const work of this.#later.splice(0)) work();
  }

  /** A moment at which something of this length can begin among the attacks. */
  moment(durationMs: number): number {
    const room = this.endMs - this.attackMs - durationMs;
    return Math.round(this.attackMs + this.random.next() * Math.max(0, room));
  }

  /** Networks of its own inside, with room for so many hosts. */
  inside(hosts = 1): Block {
    const base = this.#insideBlocks;
    const isV6 = this.isV6;
    this.#insideBlocks += isV6 ? 1 : Math.ceil(hosts / 250);
    return (host) => {
      if (isV6) return this.#take(0xfd000000 | (base >>> 16), (base << 16) >>> 0, 0, host + 1);
      return this.#take(0, 0, 0xffff, 0x0a200000 + (base + Math.floor(host / 250)) * 256 + 1 + (host % 250));
    };
  }

  outside(hosts = 1): Block {
    const base = this.#outsideBlocks;
    const isV6 = this.isV6;
    this.#outsideBlocks += isV6 ? 1 : Math.ceil(hosts / 250);
    return (host) => {
      if (isV6) return this.#take(0x20010db8, base << 16, 0, host + 1);
      return this.#take(0, 0, 0xffff, 0xf0000000 + (base + Math.floor(host / 250)) * 256 + 1 + (host % 250));
    };
  }

  /** Somebody from anywhere outside. */
  stranger(): number {
    const { random } = this;
    if (!this.isV6) return this.#take(0, 0, 0xffff, random.int(0xf4000000, 0xfeffffff));
    return this.#take(0x20010db8, 0x80000000 + random.int(0, 0x7fffffff), 0, random.int(1, 0xffff));
  }

  /** A host inside, alone in its network, that lives an ordinary life beside. */
  client(): number {
    const host = this.inside()(0);
    this.clients.push(host);
    return host;
  }

  textOf(address: number): string {
    return formatAddress(wordsAt(this.flows.addresses.words, address));
  }

  /** Whose an entity is: an address, or a prefix in which each of these has one. Nothing is the background's. */
  ownersOf(entity: string): number[] {
    const [text, length] = entity.split("/");
    const words = parseAddress(text);
    if (!words) return [];
    const { addresses } = this.flows;
    if (length === undefined) return [this.#ownerOf[addresses.intern(...words)] ?? 0].filter(Boolean);
    const bits = Number(length) + (text.includes(":") ? 0 : 96);
    const owners = new Set<number>();
    for (let index = 0; index < addresses.count; index++) {
      const owner = this.#ownerOf[index] ?? 0;
      if (owner > 0 && isWithin(wordsAt(addresses.words, index), words, bits)) owners.add(owner);
    }
    return [...owners];
  }

  /** Whether an entity is this address, or a prefix that it lies in. */
  names(entity: string, address: number, orPrefix: boolean): boolean {
    const [text, length] = entity.split("/");
    if (length === undefined) return entity === this.textOf(address);
    const words = parseAddress(text);
    const bits = Number(length) + (text.includes(":") ? 0 : 96);
    return orPrefix && words !== undefined && isWithin(wordsAt(this.flows.addresses.words, address), words, bits);
  }

  add(row: Row): void {
    const { flows } = this;
    const {
      protocol = Protocol.Tcp,
      durationMs = 0,
      sentBytes = 0,
      sentPackets = 1,
      receivedBytes = 0,
      receivedPackets = 0,
      flags = 0,
      outcome = Outcome.Unknown,
      initiator = Initiator.Unknown,
    } = row;
    const i = flows.add();
    const startMs = Math.round(row.startMs);
    flows.source[i] = row.source;
    flows.target[i] = row.target;
    flows.sourcePort[i] = row.sourcePort ?? this.random.int(32_768, 60_999);
    flows.targetPort[i] = row.port;
    flows.protocol[i] = protocol;
    flows.startMs[i] = startMs;
    flows.endMs[i] = startMs + Math.round(durationMs);
    flows.sourceBytes[i] = Math.round(sentBytes);
    flows.targetBytes[i] = Math.round(receivedBytes);
    flows.sourcePackets[i] = Math.round(sentPackets);
    flows.targetPackets[i] = Math.round(receivedPackets);
    flows.tcpFlags[i] = flags;
    flows.outcome[i] = outcome;
    flows.initiator[i] = initiator;
    flows.samplingRate[i] = 1;
    flows.recordIdHigh[i] = 0;
    flows.recordIdLow[i] = 0;
  }

  /** A request that was served. */
  exchange({ source, target, port, sourcePort, udp = false, startMs, durationMs, sent, received }: Exchange): void {
    const extra = udp ? 0 : 3;
    const receivedPackets = Math.max(1, Math.ceil(received / segmentBytes)) + extra;
    const acknowledgements = udp ? 0 : Math.floor(receivedPackets / 2);
    this.add({
      source,
      target,
      port,
      ...(sourcePort === undefined ? {} : { sourcePort }),
      protocol: udp ? Protocol.Udp : Protocol.Tcp,
      startMs,
      durationMs,
      sentBytes: sent,
      sentPackets: Math.max(1, Math.ceil(sent / segmentBytes)) + extra + acknowledgements,
      receivedBytes: received,
      receivedPackets,
      flags: udp ? 0 : wholeTcp,
      outcome: Outcome.Answered,
      initiator: Initiator.Source,
    });
  }

  /** A first packet that came to nothing, `tries` of it. Returns the record's end. */
  attempt(at: {
    source: number;
    target: number;
    port: number;
    startMs: number;
    outcome: Failure;
    tries?: number;
    protocol?: number;
  }): number {
    const { outcome, tries = 1, protocol = Protocol.Tcp, ...ends } = at;
    const isTcp = protocol === Protocol.Tcp;
    const isIcmp = protocol === Protocol.Icmp || protocol === Protocol.Icmp6;
    const isRefused = outcome === "refused";
    const payload = isTcp ? 0 : 28;
    // 1 s, 2 s, 4 s: the usual waits between the tries.
    const durationMs = isRefused ? this.random.int(1, 40) : (2 ** (tries - 1) - 1) * 1000;
    this.add({
      ...ends,
      ...(isIcmp ? { sourcePort: 0 } : {}),
      protocol,
      durationMs,
      sentBytes: (payload + (outcome === "blocked" ? 40 : 0)) * tries,
      sentPackets: tries,
      receivedPackets: isRefused ? 1 : 0,
      flags: isTcp ? Tcp.Syn : 0,
      outcome: failures[outcome],
      initiator: isTcp || isIcmp ? Initiator.Source : Initiator.Unknown,
    });
    return Math.round(at.startMs) + durationMs;
  }

  /** A packet or some of a server's side, of which nobody saw the request. */
  reply(at: {
    server: number;
    port: number;
    to: number;
    toPort?: number;
    startMs: number;
    durationMs?: number;
    bytes: number;
    packets: number;
    udp?: boolean;
    flags?: number;
  }): void {
    const { server, port, to, toPort, startMs, durationMs = 0, bytes, packets, udp = false, flags = 0 } = at;
    this.add({
      source: server,
      sourcePort: port,
      target: to,
      port: toPort ?? this.random.int(32_768, 60_999),
      protocol: udp ? Protocol.Udp : Protocol.Tcp,
      startMs,
      durationMs,
      sentBytes: bytes,
      sentPackets: packets,
      flags,
    });
  }

  /** A long exchange of which a record is written every `sliceMs`; 0 for one at its end. The first shows who began. */
  longExchange(whole: Exchange & { sliceMs: number }): void {
    const { sliceMs, startMs, durationMs } = whole;
    const sourcePort = whole.sourcePort ?? this.random.int(32_768, 60_999);
    if (sliceMs === 0 || sliceMs >= durationMs) return this.exchange({ ...whole, sourcePort });
    const protocol = whole.udp ? Protocol.Udp : Protocol.Tcp;
    for (let at = 0; at < durationMs; at += sliceMs) {
      const lastsMs = Math.min(sliceMs, durationMs - at);
      const share = lastsMs / durationMs;
      const [sent, received] = [whole.sent * share, whole.received * share];
      const packets = Math.max(1, Math.ceil(Math.max(sent, received) / segmentBytes));
      this.add({
        source: whole.source,
        target: whole.target,
        port: whole.port,
        sourcePort,
        protocol,
        startMs: startMs + at,
        durationMs: lastsMs - 1,
        sentBytes: sent,
        sentPackets: Math.max(packets, Math.ceil(sent / segmentBytes)),
        receivedBytes: received,
        receivedPackets: Math.max(1, Math.ceil(received / segmentBytes)),
        flags: whole.udp ? 0 : at === 0 ? Tcp.Syn | Tcp.Ack : Tcp.Ack | Tcp.Psh,
        outcome: at === 0 ? Outcome.Answered : Outcome.Unknown,
        initiator: at === 0 ? Initiator.Source : Initiator.Unknown,
      });
    }
  }

  /** What the generator of the samples made. */
  addConnections(connections: readonly Connection[]): void {
    const { addresses } = this.flows;
    for (const { source, target, sourcePort, targetPort, protocol, startMs, endMs, sent, received } of connections) {
      this.add({
        source: addresses.intern(...parseAddress(source)!),
        target: addresses.intern(...parseAddress(target)!),
        sourcePort,
        port: targetPort,
        protocol: protocol === "tcp" ? Protocol.Tcp : Protocol.Udp,
        startMs,
        durationMs: endMs - startMs,
        sentBytes: sent.bytes,
        sentPackets: sent.packets,
        receivedBytes: received.bytes,
        receivedPackets: received.packets,
        flags: protocol === "tcp" ? wholeTcp : 0,
        outcome: Outcome.Answered,
        initiator: Initiator.Source,
      });
    }
  }

  #take(a: number, b: number, c: number, d: number): number {
    const index = this.flows.addresses.intern(a >>> 0, b >>> 0, c >>> 0, d >>> 0);
    this.#ownerOf[index] ??= this.#owner;
    return index;
  }
}

export type Failure = "unanswered" | "refused" | "blocked";

const failures: { [name in Failure]: Outcome } = {
  unanswered: Outcome.Unanswered,
  refused: Outcome.Refused,
  blocked: Outcome.Blocked,
};

/** Whether the first `bits` of 128 agree. */
function isWithin(words: readonly number[], prefix: readonly number[], bits: number): boolean {
  for (let i = 0; i < 4; i++) {
    const here = Math.min(32, Math.max(0, bits - 32 * i));
    const mask = here === 0 ? 0 : -1 << (32 - here);
    if ((words[i] & mask) !== (prefix[i] & mask)) return false;
  }
  return true;
}
