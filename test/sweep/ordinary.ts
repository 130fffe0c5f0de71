import { browsing, updates, type Place } from "../support/background.ts";
import { cloud, office } from "../support/generate.ts";
import { Random } from "../support/random.ts";
import { Protocol } from "../../src/core/flow/flow-batch.ts";
import { World } from "./world.ts";

export type Background = "office" | "cloud";

const hourMs = 3_600_000;

/** Hosts of the scene that everything is planted in: fewer where it is long. */
function hostsOf(background: Background, hours: number, quick: boolean): number {
  const few = quick ? 4 : hours > 30 ? 10 : 20;
  return background === "office" ? few : 2 * few;
}

/** The calm scene and its hosts that count as clients; and since all of these are IPv4, half as many of IPv6. */
export function addBackground(world: World, background: Background, seed: number, quick: boolean): void {
  const hours = (world.endMs - world.startMs) / hourMs;
  const hosts = hostsOf(background, hours, quick);
  const scene = (background === "office" ? office : cloud)({
    seed,
    endMs: world.endMs,
    hours,
    hosts,
    size: quick ? 0.2 : 1,
    calm: true,
  });
  const from = world.flows.length;
  world.addConnections(scene.connections);
  const seen = new Set<number>();
  for (let i = from; i < world.flows.length; i++)
    if (world.flows.protocol[i] === Protocol.Tcp) seen.add(world.flows.source[i]);
  world.clients.push(...[...seen].filter((host) => /^10\.[12]0\.0\.[2-9]\d$/.test(world.textOf(host))));
  world.begin(0, new Random(seed).fork("IPv6 clients"));
  world.isV6 = true;
  for (let i = world.clients.length / 2; i > 0; i--) world.client();
}

/** A few pages an hour and update checks, from each of these hosts: what makes them hosts and no mere attackers. */
export function addOrdinaryLife(world: World, hosts: readonly number[], random: Random, quick: boolean): void {
  const texts = hosts.map((host) => world.textOf(host));
  const isV6 = (text: string) => text.includes(":");
  for (const v6 of [false, true]) {
    const place: Place = {
      random,
      startMs: world.startMs,
      endMs: world.endMs,
      clients: texts.filter((text) => isV6(text) === v6),
      resolver: v6 ? "fd00:10::2" : "10.10.0.2",
      directory: "",
      files: "",
    };
    const website = (i: number) => (v6 ? `2001:db8:80::${(i + 1).toString(16)}` : `192.0.2.${130 + i}`);
    const vendor = v6 ? "2001:db8:80:1::10" : "203.0.113.11";
    world.addConnections(
      browsing(
        place,
        Array.from({ length: 60 }, (_, i) => website(i)),
        quick ? 4 * hourMs : hourMs,
      ),
    );
    world.addConnections(updates(place, [{ host: vendor, everyMs: 2 * hourMs }]));
  }
}
