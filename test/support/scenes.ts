import { beacon, horizontalScan, reflection, synFlood, udpFlood, verticalScan, type Attack } from "./attacks.ts";
import {
  backups,
  browsing,
  forwarding,
  keepAlives,
  monitoring,
  officeServices,
  timekeeping,
  updates,
  visitors,
  type Place,
} from "./background.ts";
import type { Connection, Scene } from "./connection.ts";
import { Random } from "./random.ts";

interface SceneOptions {
  seed: number;
  /** The sample ends here, in epoch milliseconds. */
  endMs: number;
  hours?: number;
  /** People at work, or servers. */
  hosts?: number;
  /** Factor on the size of floods and on the number of visitors. */
  size?: number;
  /** Leaves the attacks out. */
  calm?: boolean;
}

const hourMs = 3_600_000;
const minuteMs = 60_000;

const timeServers = ["192.0.2.123", "198.51.100.123", "203.0.113.123"];
const forwarders = ["192.0.2.53", "198.51.100.53"];
const websites = [
  ...range(40).map((i) => `192.0.2.${130 + i}`),
  ...range(40).map((i) => `198.51.100.${130 + i}`),
  ...range(20).map((i) => `2001:db8:80::${(i + 1).toString(16)}`),
];
const vendors = [
  { host: "203.0.113.10", everyMs: 900_000 },
  { host: "203.0.113.11", everyMs: hourMs },
];

/** People, their devices and their servers, behind one gateway: what a Zeek sensor there sees. */
export function office(options: SceneOptions): Scene {
  const { seed, endMs, hours = 6, hosts = 30, size = 1, calm = false } = options;
  const random = new Random(seed).fork("office");
  const startMs = endMs - hours * hourMs;
  const clients = range(hosts).map((i) => `10.10.0.${20 + i}`);
  const devices = range(6).map((i) => `10.10.1.${10 + i}`);
  const place: Place = {
    random,
    startMs,
    endMs,
    clients,
    resolver: "10.10.0.2",
    directory: "10.10.0.3",
    files: "10.10.0.4",
  };
  const connections = [
    ...browsing(place, websites, 4 * minuteMs),
    ...forwarding(place, forwarders, 4000),
    ...timekeeping({ ...place, clients: [...clients, ...devices] }, timeServers),
    ...updates(place, vendors),
    ...keepAlives(place, devices, "203.0.113.88"),
    ...officeServices(place),
    ...backups({ ...place, clients: clients.slice(0, 8) }, "10.10.0.5"),
  ];
  const part = { startMs, durationMs: hours * hourMs };
  const inside = (share: number, minutes: number) => ({
    startMs: Math.round(startMs + share * hours * hourMs),
    durationMs: minutes * minuteMs,
  });
  const attacks: Attack[] = calm
    ? []
    : [
        // A worm on 10.10.0.31 looks for file shares; most addresses have no host.
        horizontalScan({
          ...inside(0.3, 5),
          random: random.fork("worm"),
          source: "10.10.0.31",
          targets: range(300).map((i) => `10.10.${2 + (i >> 8)}.${i & 255}`),
          port: 445,
          tries: 3,
        }),
        // One knock every two minutes.
        horizontalScan({
          ...part,
          random: random.fork("slow sweep"),
          source: "10.10.0.33",
          targets: range(30 * hours).map((i) => `10.10.8.${i & 255}`),
          port: 22,
        }),
        beacon({
          random: random.fork("beacon 60"),
          startMs: startMs + 10 * minuteMs,
          durationMs: (hours - 0.5) * hourMs,
          source: "10.10.0.24",
          target: "198.51.100.77",
          port: 443,
          everyMs: minuteMs,
          jitter: 0.2,
        }),
        beacon({
          ...inside(0.4, 60),
          random: random.fork("beacon 10"),
          source: "10.10.0.27",
          target: "203.0.113.77",
          port: 4444,
          everyMs: 10_000,
          jitter: 0.05,
        }),
        beacon({
          ...inside(0.2, 150),
          random: random.fork("dead beacon"),
          source: "10.10.0.36",
          target: "192.0.2.77",
          port: 8080,
          everyMs: 30_000,
          jitter: 0.1,
          dead: true,
        }),
        beacon({
          ...inside(0.1, 60 * (hours - 1.5)),
          random: random.fork("beacon v6"),
          source: "fd00:10::28",
          target: "2001:db8:bad::77",
          port: 443,
          everyMs: minuteMs,
          jitter: 0.2,
        }),
        horizontalScan({
          ...inside(0.7, 4),
          random: random.fork("scan v6"),
          source: "fd00:10::31",
          targets: range(150).map((i) => `fd00:10::1:${(i + 1).toString(16)}`),
          port: 22,
        }),
        udpFlood({
          ...inside(0.8, 1),
          random: random.fork("outbound flood"),
          source: "10.10.1.12",
          target: "203.0.113.200",
          port: 80,
          flows: Math.round(6000 * size),
          packetsEach: 40,
        }),
      ];
  return scene(endMs, ["10.10.0.0/16", "fd00:10::/32"], connections, attacks);
}

/** Servers in a cloud network, each with an interface whose flows are logged. */
export function cloud(options: SceneOptions): Scene {
  const { seed, endMs, hours = 6, hosts = 60, size = 1, calm = false } = options;
  const random = new Random(seed).fork("cloud");
  const startMs = endMs - hours * hourMs;
  const servers = range(hosts).map((i) => `10.20.0.${20 + i}`);
  const place: Place = {
    random,
    startMs,
    endMs,
    clients: servers,
    resolver: "10.20.0.2",
    directory: "10.20.0.3",
    files: "10.20.0.4",
  };
  const shop = servers[0];
  const visitorNumber = () => random.int(0, 0xffff);
  const connections = [
    ...visitors(place, shop, Math.round(700 * hours * size), () => address4("198.18", visitorNumber())),
    ...visitors(
      { ...place, random: random.fork("v6") },
      "fd00:20::20",
      Math.round(60 * hours * size),
      () => `2001:db8:18::${((visitorNumber() % 0xffff) + 1).toString(16)}`,
    ),
    ...forwarding(place, forwarders, 5000),
    ...timekeeping({ ...place, clients: servers.slice(0, 20) }, timeServers),
    ...updates({ ...place, clients: servers.slice(0, 12) }, vendors),
    ...monitoring({ ...place, clients: servers.slice(0, 15) }, "10.20.0.9"),
    ...backups({ ...place, clients: servers.slice(0, 6) }, "10.20.0.5"),
  ];
  const inside = (share: number, minutes: number) => ({
    startMs: Math.round(startMs + share * hours * hourMs),
    durationMs: minutes * minuteMs,
  });
  const spoofed4 = random.fork("spoofed");
  const spoofed6 = random.fork("spoofed v6");
  const attacks: Attack[] = calm
    ? []
    : [
        verticalScan({
          ...inside(0.15, 2),
          random: random.fork("vertical"),
          source: "203.0.113.66",
          target: servers[3],
          ports: 1000,
          outcome: "blocked",
        }),
        verticalScan({
          ...inside(0.25, 3),
          random: random.fork("vertical v6"),
          source: "2001:db8:666::1",
          target: "fd00:20::20",
          ports: 600,
          outcome: "refused",
        }),
        horizontalScan({
          ...inside(0.35, 2),
          random: random.fork("horizontal"),
          source: "192.0.2.66",
          targets: servers,
          port: 22,
        }),
        // One port of one host every two minutes: never much within an hour.
        verticalScan({
          startMs,
          durationMs: hours * hourMs,
          random: random.fork("slow"),
          source: "198.51.100.66",
          target: servers[5],
          ports: 30 * hours,
          outcome: "blocked",
        }),
        synFlood({
          ...inside(0.55, 1),
          random: random.fork("syn flood"),
          target: servers[8],
          port: 443,
          flows: Math.round(20_000 * size),
          spoofed: () => address4("198.19", spoofed4.int(0, 0xffff)),
          answeredShare: 0.3,
        }),
        synFlood({
          ...inside(0.65, 1),
          random: random.fork("syn flood v6"),
          target: "fd00:20::30",
          port: 80,
          flows: Math.round(8000 * size),
          spoofed: () => `2001:db8:${hex(spoofed6)}:${hex(spoofed6)}::${hex(spoofed6)}`,
          answeredShare: 0,
        }),
        reflection({
          ...inside(0.72, 1.5),
          random: random.fork("dns reflection"),
          victim: servers[10],
          reflectors: range(Math.round(2000 * size)).map((i) => address4("198.19", 7 + 31 * i)),
          port: 53,
          packetsEach: 600,
          packetBytes: 1400,
        }),
        reflection({
          ...inside(0.85, 1.5),
          random: random.fork("ntp reflection v6"),
          victim: "fd00:20::40",
          reflectors: range(Math.round(1500 * size)).map((i) => `2001:db8:${(0x1000 + i).toString(16)}::123`),
          port: 123,
          packetsEach: 800,
          packetBytes: 468,
        }),
        beacon({
          ...inside(0.3, 60 * hours * 0.6),
          random: random.fork("beacon"),
          source: servers[12],
          target: "203.0.113.99",
          port: 443,
          everyMs: minuteMs,
          jitter: 0.2,
        }),
      ];
  return scene(endMs, ["10.20.0.0/16", "fd00:20::/32"], connections, attacks);
}

function scene(endMs: number, internal: string[], background: Connection[], attacks: Attack[]): Scene {
  const all = background.concat(...attacks.map((attack) => attack.connections));
  // What still goes on at the end has not been logged yet.
  const connections = all.filter((connection) => connection.endMs <= endMs);
  return { internal, connections, events: attacks.map((attack) => attack.event) };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function address4(first16: string, rest: number): string {
  return `${first16}.${(rest >> 8) & 255}.${rest & 255}`;
}

function hex(random: Random): string {
  return random.int(1, 0xffff).toString(16);
}
