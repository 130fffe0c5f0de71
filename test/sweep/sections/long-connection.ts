import { longConnection as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** One connection to a server that nobody else uses, in one record or in slices. */
export const longConnection: Section = {
  id: "long-connection",
  title: "Long connection",
  threat: "long_connection",
  points: product({ hours: grid.hours, slicedS: grid.slicedS }),
  selection: "all",
  along: "hours",
  lines: "slicedS",
  hours: 26,
  historyHours: 0,
  batchS: 60,
  wanted: ({ hours }) => grid.wanted({ hours: Number(hours) }),
  plant,
  why: "A slice whose record is a gap longer than its neighbours' ends one connection and begins another.",
  imitate: {
    "VPN of the fleet": (world) => fleet(world, { name: "vpn", port: 1194, udp: true, bytesPerS: 8000, hosts: 1 }),
    "chat keep-alive of the fleet": (world) =>
      fleet(world, { name: "chat", port: 5222, udp: false, bytesPerS: 5, hosts: 0.7 }),
    "monitoring stream": monitoring,
  },
};

function plant(world: World, { hours, slicedS }: Point): Planted {
  const { random } = world;
  const [source, target] = [world.client(), world.outside()(0)];
  const durationMs = Number(hours) * hourMs;
  const startMs = world.moment(durationMs);
  const [sent, received] = [Number(hours) * random.int(20_000, 400_000), Number(hours) * random.int(20_000, 400_000)];
  const port = random.pick([443, 22, 8443, 4444]);
  world.longExchange({ source, target, port, startMs, durationMs, sent, received, sliceMs: Number(slicedS) * 1000 });
  return { entities: [source], peers: [target], startMs, endMs: startMs + durationMs };
}

/** Nearly every client holds one connection to the same service, for most of the day. */
function fleet(
  world: World,
  { name, port, udp, bytesPerS, hosts }: { name: string; port: number; udp: boolean; bytesPerS: number; hosts: number },
): void {
  const { random } = world;
  const mine = world.client();
  if (!world.isFirst(name)) return;
  const { isV6 } = world;
  const [v4, v6] = [false, true].map((is) => {
    world.isV6 = is;
    return world.outside()(0);
  });
  world.isV6 = isV6;
  world.later(() => {
    for (const source of world.clients.filter((client) => client === mine || random.chance(hosts))) {
      const durationMs = random.int(13 * 60, 22 * 60) * minuteMs;
      const sent = (durationMs / 1000) * bytesPerS;
      const target = world.textOf(source).includes(":") ? v6 : v4;
      const sliceMs = random.pick([0, minuteMs, 10 * minuteMs]);
      world.longExchange({
        source,
        target,
        port,
        udp,
        startMs: world.moment(durationMs),
        durationMs,
        sent,
        received: 3 * sent,
        sliceMs,
      });
    }
  });
}

/** A server of ours streams its figures to another one of ours, all day. */
function monitoring(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.inside()(0)];
  const durationMs = random.int(14, 24) * hourMs;
  const sliceMs = random.pick([0, minuteMs, 10 * minuteMs]);
  world.longExchange({
    source,
    target,
    port: 9090,
    startMs: world.moment(durationMs),
    durationMs,
    sent: durationMs,
    received: durationMs / 50,
    sliceMs,
  });
}
