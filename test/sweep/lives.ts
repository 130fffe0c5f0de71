import { parseAddress } from "../../src/core/flow/address.ts";
import type { Random } from "../support/random.ts";
import type { World } from "./world.ts";

export type Life = "office" | "server" | "device";

interface Span {
  fromMs: number;
  untilMs: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** What a host does that is there for somebody's work, for others, or for one thing: from first to last, but for nights. */
export function live(world: World, host: number, life: Life, span: Partial<Span> = {}): void {
  const { fromMs = world.startMs, untilMs = world.endMs } = span;
  const at = { fromMs, untilMs };
  if (life === "office") liveInOffice(world, host, at);
  else if (life === "server") serve(world, host, at);
  else liveAsDevice(world, host, at);
}

/** Addresses that all hosts share are nobody's. */
function shared(world: World, v4: string, v6: string): number {
  return world.flows.addresses.intern(...parseAddress(world.isV6 ? v6 : v4)!);
}

const resolver = (world: World) => shared(world, "10.10.0.2", "fd00:10::2");
const directory = (world: World) => shared(world, "10.10.0.3", "fd00:10::3");
const files = (world: World) => shared(world, "10.10.0.4", "fd00:10::4");

/** One of a hundred that many know; the square of a chance prefers the first. */
function popularSite(world: World): number {
  const i = Math.floor(world.random.next() ** 2 * 100);
  return shared(world, `192.0.2.${100 + i}`, `2001:db8:80::${(i + 1).toString(16)}`);
}

const mailService = (world: World) => shared(world, "203.0.113.25", "2001:db8:80:2::25");
const updateService = (world: World) => shared(world, "203.0.113.11", "2001:db8:80:1::10");
const timeService = (world: World) => shared(world, "192.0.2.123", "2001:db8:80:1::123");

/** The address of a name, asked of the site's own resolver. */
function lookUp(world: World, source: number, startMs: number): void {
  const { random } = world;
  const sizes = { sent: random.int(36, 70), received: random.int(80, 320) };
  world.exchange({
    source,
    target: resolver(world),
    port: 53,
    udp: true,
    startMs,
    durationMs: random.int(1, 60),
    ...sizes,
  });
}

/** A page: some hosts, one to three connections each. One in ten is known to nobody else, one in thirty does not answer. */
export function openPage(world: World, source: number, atMs: number): void {
  const { random } = world;
  for (let hosts = random.int(1, 5), h = 0; h < hosts; h++) {
    const startMs = atMs + h * random.int(20, 300);
    const target = random.chance(0.1) ? world.stranger() : popularSite(world);
    lookUp(world, source, startMs);
    if (random.chance(0.03)) {
      const outcome = random.pick(["refused", "unanswered"] as const);
      world.attempt({ source, target, port: 443, startMs: startMs + 50, outcome, tries: random.int(1, 3) });
      continue;
    }
    const port = random.chance(0.02) ? random.pick([80, 8080, 8443, 5228]) : 443;
    for (let c = random.int(1, 3); c > 0; c--) {
      world.exchange({
        source,
        target,
        port,
        startMs: startMs + random.int(30, 400),
        durationMs: random.logNormal(4000, 1.2),
        sent: random.logNormal(1800, 0.8),
        received: random.logNormal(24_000, 1.6),
      });
    }
  }
}

/** When a person is at work, on each weekday: two hours differ from day to day less than from one to another. */
function workingHours(random: Random, { fromMs, untilMs }: Span): Span[] {
  const [begin, end] = [random.around(8.5, 0.15), random.around(17.5, 0.1)];
  const days: Span[] = [];
  for (let day = Math.floor(fromMs / dayMs) * dayMs; day < untilMs; day += dayMs) {
    const from = Math.max(fromMs, day + (begin + 0.5 * random.next()) * hourMs);
    const until = Math.min(untilMs, day + (end + 0.7 * random.next()) * hourMs);
    if (from < until) days.push({ fromMs: from, untilMs: until });
  }
  return days;
}

/** Pages, mail, files and meetings while somebody works; a third of the hosts stay on and ask for updates at night. */
function liveInOffice(world: World, host: number, span: Span): void {
  const { random } = world;
  const pauseMs = random.logNormal(8 * minuteMs, 0.5);
  const days = workingHours(random, span);
  const meetings = random.chance(0.4) ? random.int(1, 2) : 0;
  for (const day of days) work(world, host, day, pauseMs, meetings);
  for (const { fromMs, untilMs } of random.chance(0.35) ? [span] : days) {
    for (let at = fromMs + random.next() * hourMs; at < untilMs; at += random.around(hourMs, 0.1)) {
      const received = random.chance(0.1) ? random.logNormal(2e6, 1) : random.logNormal(4000, 0.5);
      const sizes = { sent: random.int(700, 2400), received };
      const durationMs = random.int(200, 4000);
      world.exchange({ source: host, target: updateService(world), port: 443, startMs: at, durationMs, ...sizes });
    }
  }
}

/** One day of it. */
export function work(world: World, host: number, day: Span, pauseMs: number, meetings: number): void {
  const { random } = world;
  const { fromMs, untilMs } = day;
  for (let at = fromMs; at < untilMs; at += random.exponential(pauseMs)) openPage(world, host, at);
  for (let at = fromMs + random.next() * 300_000; at < untilMs; at += random.around(300_000, 0.02)) {
    const sizes = { sent: random.int(900, 1300), received: random.chance(0.2) ? random.logNormal(40_000, 1.5) : 1100 };
    world.exchange({ source: host, target: mailService(world), port: 993, startMs: at, durationMs: 900, ...sizes });
  }
  for (let at = fromMs; at < untilMs; at += random.exponential(14 * minuteMs)) {
    const isFile = random.chance(0.4);
    const received = isFile ? random.logNormal(90_000, 2) : random.logNormal(3000, 0.6);
    const sizes = { sent: random.logNormal(2000, 1), received };
    const [target, port] = isFile ? [files(world), 445] : [directory(world), random.pick([389, 88])];
    world.exchange({ source: host, target, port, startMs: at, durationMs: random.logNormal(2500, 1.3), ...sizes });
  }
  for (let i = 0; i < meetings; i++) meet(world, host, fromMs + random.next() * (untilMs - fromMs - hourMs));
}

/** As much goes as comes, by a media server that this meeting alone has, of half an hour to one. */
export function meet(world: World, source: number, startMs: number): void {
  const { random } = world;
  const durationMs = random.int(25, 60) * minuteMs;
  const sent = (durationMs / 1000) * random.int(100_000, 350_000);
  const received = sent * random.around(1.3, 0.5);
  const ends = { source, target: world.stranger(), port: random.pick([3478, 443]), udp: true };
  world.longExchange({ ...ends, startMs, durationMs, sent, received, sliceMs: minuteMs });
}

/** An application, a mail relay or a proxy; each is asked for its figures, and asks for updates once a day. */
function serve(world: World, host: number, span: Span): void {
  const { random } = world;
  const role = random.next();
  if (role < 0.1) relayMail(world, host, span);
  else if (role < 0.2) forward(world, host, span);
  else answerRequests(world, host, span);
  const { fromMs, untilMs } = span;
  const watcher = shared(world, "10.10.0.8", "fd00:10::8");
  for (let at = fromMs + random.next() * minuteMs; at < untilMs; at += 2 * minuteMs) {
    const sizes = { sent: 240, received: random.int(20_000, 24_000) };
    world.exchange({ source: watcher, target: host, port: 9100, startMs: at, durationMs: 40, ...sizes });
  }
  for (let at = fromMs + random.next() * dayMs; at < untilMs; at += dayMs) {
    const sizes = { sent: random.logNormal(9000, 0.5), received: random.logNormal(2e7, 1) };
    world.exchange({
      source: host,
      target: updateService(world),
      port: 443,
      startMs: at,
      durationMs: 20_000,
      ...sizes,
    });
  }
}

const isDay = (at: number) => at % dayMs > 7 * hourMs && at % dayMs < 20 * hourMs;

/** Messages from inside go out to whose they are, and others come in: by day some dozen an hour. */
function relayMail(world: World, host: number, { fromMs, untilMs }: Span): void {
  const { random } = world;
  const pauseMs = random.logNormal(2.5 * minuteMs, 0.5);
  for (let at = fromMs; at < untilMs; at += random.exponential(isDay(at) ? pauseMs : 4 * pauseMs)) {
    const sizes = { sent: random.logNormal(20_000, 1.5), received: random.int(400, 900) };
    const message = { port: 25, durationMs: random.logNormal(2500, 0.8), ...sizes };
    if (random.chance(0.5)) world.exchange({ source: world.stranger(), target: host, startMs: at, ...message });
    else {
      lookUp(world, host, at);
      const target = random.chance(0.5) ? popularSite(world) : world.stranger();
      if (random.chance(0.05)) world.attempt({ source: host, target, port: 25, startMs: at, outcome: "unanswered" });
      else world.exchange({ source: host, target, startMs: at + 20, ...message });
    }
  }
}

/** What one host inside asks of the web goes out, and what comes in goes back. */
function forward(world: World, host: number, { fromMs, untilMs }: Span): void {
  const { random } = world;
  const pauseMs = random.logNormal(40_000, 0.5);
  for (let at = fromMs; at < untilMs; at += random.exponential(isDay(at) ? pauseMs : 8 * pauseMs)) {
    const source = shared(world, `10.10.4.${random.int(10, 60)}`, `fd00:10:4::${random.int(10, 60)}`);
    const target = random.chance(0.1) ? world.stranger() : popularSite(world);
    const sizes = { sent: random.logNormal(2500, 0.8), received: random.logNormal(40_000, 1.5) };
    const durationMs = random.logNormal(4000, 1.2);
    world.exchange({ source, target: host, port: 3128, startMs: at, durationMs, ...sizes });
    world.exchange({ source: host, target, port: 443, startMs: at + 2, durationMs, ...sizes });
  }
}

/** Answers others inside, asks a database and some partners outside. */
function answerRequests(world: World, host: number, { fromMs, untilMs }: Span): void {
  const { random } = world;
  const callers = Array.from({ length: random.int(2, 12) }, (_, i) =>
    shared(world, `10.10.3.${10 + i}`, `fd00:10:3::${10 + i}`),
  );
  const partners = Array.from({ length: random.int(1, 3) }, () => world.stranger());
  const port = random.pick([443, 8080, 5000, 6379]);
  const pauseMs = random.logNormal(70_000, 0.6);
  const answer = random.logNormal(9000, 0.8);
  const partnerPort = random.pick([443, 443, 443, 8443, 5671]);
  for (let at = fromMs; at < untilMs; at += random.exponential(isDay(at) ? pauseMs : 3 * pauseMs)) {
    const sizes = { sent: random.logNormal(900, 0.6), received: random.logNormal(answer, 1) };
    const source = random.pick(callers);
    world.exchange({ source, target: host, port, startMs: at, durationMs: random.logNormal(80, 1), ...sizes });
    if (random.chance(0.6)) {
      const query = { sent: random.logNormal(1500, 0.9), received: random.logNormal(9000, 1.3) };
      const target = shared(world, "10.10.0.9", "fd00:10::9");
      world.exchange({ source: host, target, port: 5432, startMs: at + 5, durationMs: 40, ...query });
    }
    if (random.chance(0.1)) {
      lookUp(world, host, at + 8);
      const call = { sent: random.logNormal(2500, 0.8), received: random.logNormal(4000, 1) };
      const ends = { source: host, target: random.pick(partners), port: partnerPort, startMs: at + 30 };
      if (random.chance(0.01)) world.attempt({ ...ends, outcome: "unanswered", tries: 2 });
      else world.exchange({ ...ends, durationMs: random.int(80, 900), ...call });
    }
  }
}

/** Calls its maker's cloud day and night, by the clock; at times something happens, and more is sent. */
function liveAsDevice(world: World, host: number, { fromMs, untilMs }: Span): void {
  const { random } = world;
  const maker = random.int(0, 1);
  const cloud = shared(world, `198.51.100.${20 + maker}`, `2001:db8:90::${20 + maker}`);
  const everyMs = random.pick([30_000, minuteMs, 2 * minuteMs, 5 * minuteMs]);
  const port = random.pick([8883, 443, 443, 5223]);
  const [sent, received] = [random.int(60, 400), random.int(60, 300)];
  const eventPauseMs = random.logNormal(2 * hourMs, 0.8);
  const eventBytes = random.logNormal(80_000, 1.5);
  for (let at = fromMs + random.next() * everyMs; at < untilMs; at += random.around(everyMs, 0.02)) {
    const sizes = { sent: sent + random.int(0, 12), received: received + random.int(0, 6) };
    world.exchange({ source: host, target: cloud, port, startMs: at, durationMs: random.int(40, 300), ...sizes });
  }
  for (let at = fromMs; at < untilMs; at += random.exponential(eventPauseMs)) {
    lookUp(world, host, at);
    const sizes = { sent: random.logNormal(eventBytes, 0.7), received: random.logNormal(1500, 0.6) };
    world.exchange({ source: host, target: cloud, port: 443, startMs: at + 40, durationMs: 4000, ...sizes });
  }
  for (let at = fromMs + random.next() * 1_024_000; at < untilMs; at += random.around(1_024_000, 0.01)) {
    const ends = { source: host, target: timeService(world), port: 123, sourcePort: 123, udp: true };
    world.exchange({ ...ends, startMs: at, durationMs: 20, sent: 48, received: 48 });
  }
}
