import { answered, ephemeralPort, type Connection } from "./connection.ts";
import type { Random } from "./random.ts";

/** Where and when ordinary traffic happens. */
export interface Place {
  random: Random;
  startMs: number;
  endMs: number;
  clients: readonly string[];
  /** Name server, directory and file server of the site. */
  resolver: string;
  directory: string;
  files: string;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Pages of the web: name lookups, then a burst of connections to a few hosts, then reading. */
export function browsing(place: Place, websites: readonly string[], pauseMs: number): Connection[] {
  const out: Connection[] = [];
  for (const client of place.clients) {
    const random = place.random.fork(`browsing ${client}`);
    for (let at = place.startMs + random.exponential(pauseMs); at < place.endMs; at += random.exponential(pauseMs)) {
      const hosts = random.int(1, 5);
      for (let h = 0; h < hosts; h++) {
        // A few sites are known to all, most to some: the square of a chance prefers the front of the list.
        const host = websites[Math.floor(random.next() ** 2 * websites.length)];
        const asked = at + h * random.int(20, 300);
        out.push(lookup(random, client, place.resolver, asked));
        for (let c = random.int(1, 3); c > 0; c--) {
          out.push(
            answered({
              source: client,
              sourcePort: ephemeralPort(random),
              target: host,
              targetPort: 443,
              startMs: asked + random.int(30, 400),
              durationMs: random.logNormal(4000, 1.2),
              sentBytes: random.logNormal(1800, 0.8),
              receivedBytes: random.logNormal(24_000, 1.6),
            }),
          );
        }
      }
    }
  }
  return out;
}

function lookup(random: Random, client: string, resolver: string, startMs: number): Connection {
  return answered({
    source: client,
    sourcePort: ephemeralPort(random),
    target: resolver,
    targetPort: 53,
    protocol: "udp",
    startMs,
    durationMs: random.int(1, 60),
    sentBytes: random.int(36, 70),
    receivedBytes: random.int(80, 320),
  });
}

/** What the resolver asks in its clients' names. */
export function forwarding(place: Place, forwarders: readonly string[], pauseMs: number): Connection[] {
  const out: Connection[] = [];
  const random = place.random.fork("forwarding");
  for (let at = place.startMs; at < place.endMs; at += random.exponential(pauseMs)) {
    out.push(lookup(random, place.resolver, random.pick(forwarders), at));
  }
  return out;
}

/** Each host asks some of the servers at a power of two seconds, from port 123 to port 123. */
export function timekeeping(place: Place, servers: readonly string[]): Connection[] {
  const out: Connection[] = [];
  for (const client of place.clients) {
    const random = place.random.fork(`ntp ${client}`);
    for (const server of servers.slice(0, random.int(1, servers.length))) {
      const everyMs = 2 ** random.int(6, 10) * 1000;
      for (
        let at = place.startMs + random.next() * everyMs;
        at < place.endMs;
        at += everyMs + random.int(-2000, 2000)
      ) {
        const ends = { source: client, sourcePort: 123, target: server, targetPort: 123, protocol: "udp" as const };
        out.push(answered({ ...ends, startMs: at, durationMs: random.int(5, 80), sentBytes: 48, receivedBytes: 48 }));
      }
    }
  }
  return out;
}

/** Every client asks its vendor for news: mostly there is none, now and then there is a download. */
export function updates(place: Place, vendors: readonly { host: string; everyMs: number }[]): Connection[] {
  const out: Connection[] = [];
  for (const { host, everyMs } of vendors) {
    for (const client of place.clients) {
      const random = place.random.fork(`updates ${host} ${client}`);
      if (random.chance(0.3)) continue;
      for (let at = place.startMs + random.next() * everyMs; at < place.endMs; at += random.around(everyMs, 0.1)) {
        out.push(
          answered({
            source: client,
            sourcePort: ephemeralPort(random),
            target: host,
            targetPort: 443,
            startMs: at,
            durationMs: random.int(200, 4000),
            sentBytes: random.int(700, 2400),
            receivedBytes: random.chance(0.15) ? random.logNormal(800_000, 1) : random.logNormal(4000, 0.5),
          }),
        );
      }
    }
  }
  return out;
}

/** Devices that hold one connection open and speak on it every five minutes. */
export function keepAlives(place: Place, devices: readonly string[], broker: string): Connection[] {
  return devices.map((device) => {
    const random = place.random.fork(`mqtt ${device}`);
    const activityMs: number[] = [];
    for (let at = place.startMs + random.next() * 300_000; at < place.endMs; at += 300_000) activityMs.push(at);
    const beats = activityMs.length;
    const silent = answered({
      source: device,
      sourcePort: ephemeralPort(random),
      target: broker,
      targetPort: 8883,
      startMs: activityMs[0],
      durationMs: activityMs[beats - 1] - activityMs[0] + 50,
      sentBytes: 31 * beats,
      receivedBytes: 31 * beats,
    });
    silent.sent.packets = silent.received.packets = 2 * beats;
    return { ...silent, activityMs };
  });
}

/** Directory and file server: short questions often, files now and then. */
export function officeServices(place: Place): Connection[] {
  const out: Connection[] = [];
  for (const client of place.clients) {
    const random = place.random.fork(`services ${client}`);
    for (let at = place.startMs; at < place.endMs; at += random.exponential(9 * minuteMs)) {
      const [target, targetPort, receivedBytes] = random.pick([
        [place.directory, 389, random.logNormal(3000, 0.6)],
        [place.directory, 88, random.int(1200, 1900)],
        [place.files, 445, random.logNormal(90_000, 2)],
      ] as const);
      out.push(
        answered({
          source: client,
          sourcePort: ephemeralPort(random),
          target,
          targetPort,
          startMs: at + random.int(0, 60_000),
          durationMs: random.logNormal(2500, 1.3),
          sentBytes: random.logNormal(2000, 1),
          receivedBytes,
        }),
      );
    }
  }
  return out;
}

/** Every hour, on the hour and some seconds, everything to one server. */
export function backups(place: Place, server: string): Connection[] {
  const out: Connection[] = [];
  for (const client of place.clients) {
    const random = place.random.fork(`backups ${client}`);
    for (let at = place.startMs + 5 * minuteMs; at < place.endMs - 10 * minuteMs; at += hourMs) {
      out.push(
        answered({
          source: client,
          sourcePort: ephemeralPort(random),
          target: server,
          targetPort: 873,
          startMs: at + random.int(0, 90_000),
          durationMs: random.int(60_000, 400_000),
          sentBytes: random.logNormal(150e6, 0.7),
          receivedBytes: random.logNormal(60_000, 0.5),
        }),
      );
    }
  }
  return out;
}

/** A monitoring server asks every host of the site for its figures, once a minute. */
export function monitoring(place: Place, server: string, everyMs = minuteMs): Connection[] {
  const out: Connection[] = [];
  for (const host of place.clients) {
    const random = place.random.fork(`monitoring ${host}`);
    for (let at = place.startMs + random.next() * everyMs; at < place.endMs; at += everyMs) {
      out.push(
        answered({
          source: server,
          sourcePort: ephemeralPort(random),
          target: host,
          targetPort: 9100,
          startMs: at,
          durationMs: random.int(20, 90),
          sentBytes: 240,
          receivedBytes: random.int(40_000, 60_000),
        }),
      );
    }
  }
  return out;
}

/** A public server and the thousands who visit it, each for a few requests. */
export function visitors(place: Place, server: string, visits: number, someone: () => string): Connection[] {
  const random = place.random.fork(`visitors ${server}`);
  const out: Connection[] = [];
  for (let v = 0; v < visits; v++) {
    const visitor = someone();
    let at = place.startMs + random.next() * (place.endMs - place.startMs - 10 * minuteMs);
    for (let requests = random.int(1, 4); requests > 0; requests--) {
      out.push(
        answered({
          source: visitor,
          sourcePort: ephemeralPort(random),
          target: server,
          targetPort: 443,
          startMs: at,
          durationMs: random.logNormal(1500, 1),
          sentBytes: random.logNormal(1500, 0.7),
          receivedBytes: random.logNormal(30_000, 1.4),
        }),
      );
      at += random.exponential(20_000);
    }
  }
  return out;
}
