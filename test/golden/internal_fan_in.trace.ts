import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const dayMs = 86_400_000;
const [megabyte, gigabyte] = [1e6, 1e9];

/** So much, from so many of our own, on each of these days. */
interface Load {
  target: string;
  targetPort: number;
  days: number[];
  hosts: number;
  bytes: number;
}

/** Hosts where on the fourth day much comes together; beside them those where it always does, and those of one source. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed);
  const [before, today, all] = [[0, 1, 2], [3], [0, 1, 2, 3]];
  return [
    // Staged, on a host that is sent little, and on one of IPv6.
    sent({ target: "10.0.6.10", targetPort: 445, days: before, hosts: 3, bytes: 20 * megabyte }),
    sent({ target: "10.0.6.10", targetPort: 445, days: today, hosts: 12, bytes: 2.4 * gigabyte }),
    sent({ target: "2001:db8:1:6::10", targetPort: 22, days: before, hosts: 2, bytes: megabyte }),
    sent({ target: "2001:db8:1:6::10", targetPort: 22, days: today, hosts: 8, bytes: 1.5 * gigabyte }),
    // A file server, a bit busier today; a backup of one host; a host that nobody knows.
    sent({ target: "10.0.6.20", targetPort: 445, days: before, hosts: 20, bytes: 2 * gigabyte }),
    sent({ target: "10.0.6.20", targetPort: 445, days: today, hosts: 20, bytes: 4 * gigabyte }),
    sent({ target: "10.0.6.21", targetPort: 873, days: all, hosts: 2, bytes: 10 * megabyte }),
    sent({ target: "10.0.6.21", targetPort: 873, days: today, hosts: 1, bytes: 8 * gigabyte }),
    sent({ target: "10.0.6.22", targetPort: 445, days: today, hosts: 12, bytes: 2.4 * gigabyte }),
    // Many that send little, and outsiders that send much.
    sent({ target: "10.0.6.23", targetPort: 514, days: all, hosts: 60, bytes: 100 * megabyte }),
    sent({ target: "10.0.6.24", targetPort: 443, days: all, hosts: 3, bytes: megabyte }),
    Array.from({ length: 30 }, (_, i) => {
      const flow = { source: `198.51.100.${1 + i}`, target: "10.0.6.24", targetPort: 443, startMs: at(3) };
      return { ...flow, sourceBytes: 100 * megabyte, sourcePackets: 80_000 };
    }),
  ].flat();

  function at(day: number): number {
    return traceStartMs + day * dayMs + random.int(0, 80 * 60_000);
  }

  /** In three records a host. */
  function sent({ target, targetPort, days, hosts, bytes }: Load): TraceFlow[] {
    const from = target.includes(":") ? "2001:db8:1:6:1::" : "10.0.7.";
    return days.flatMap((day) =>
      Array.from({ length: 3 * hosts }, (_, i) => {
        const sourceBytes = Math.round(random.around(bytes / hosts / 3, 0.2));
        const counts = { sourceBytes, sourcePackets: Math.ceil(sourceBytes / 1400) };
        return { source: `${from}${100 + (i % hosts)}`, target, targetPort, startMs: at(day), ...counts };
      }),
    );
  }
}

export function invented(target: string, startMs: number): TraceFlow[] {
  return [{ source: target.includes(":") ? "2001:db8:1::10" : "10.0.0.10", target, targetPort: 445, startMs }];
}
