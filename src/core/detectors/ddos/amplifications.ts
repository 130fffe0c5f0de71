import { Protocol } from "../../flow/flow-batch.ts";
import { serviceOf, serviceProtocol } from "../../flow/protocols.ts";
import type { BottomK } from "../../sketches/bottom-k.ts";
import { trafficOf } from "../../sketches/inflow.ts";

/**
 * UDP services that answer with more than they are asked, and by how much, as bandwidth; undefined where no figure is
 * agreed on. Source: US-CERT TA14-017A, UDP-Based Amplification Attacks, the upper end where it gives a span; of Apple's
 * remote desktop (3283) and CoAP (5683), Netscout, 2019. DVRs (37810) and BACnet (47808) are known from attacks.
 */
export const amplifications: ReadonlyMap<number, number | undefined> = new Map(
  (
    [
      [17, 140],
      [19, 359],
      [53, 54],
      [111, 28],
      [123, 557],
      [137, 3.8],
      [161, 6.3],
      [389, 70],
      [520, 131],
      [1900, 31],
      [3283, 35.5],
      [3702, 500],
      [5353, 10],
      [5683, 34],
      [11_211, 51_000],
      [27_015, 5.5],
      [37_810, undefined],
      [47_808, undefined],
    ] as const
  ).map(([port, factor]) => [serviceOf(port, Protocol.Udp), factor]),
);

/** Mean bytes of packets that only what amplifies sends: a request for a name, or for the time, takes fewer. */
export const amplifiedBytesMin = 200;

/** Ties go to the lower service. */
export function mostFrequentService(others: BottomK, traffic?: number): number {
  const seen = new Map<number, number>();
  for (let i = 0; i < others.size; i++) {
    const service = others.label(i);
    if (traffic !== undefined && trafficOf(serviceProtocol(service)) !== traffic) continue;
    seen.set(service, (seen.get(service) ?? 0) + 1);
  }
  if (seen.size === 0 && traffic !== undefined) return mostFrequentService(others);
  return [...seen].reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a), [0, 0])[0];
}
