import { proxyDurable } from "itty-durable";
import * as v from "valibot";
import type { BreakerRpc } from "../src/inference/breaker.ts";

const count = v.pipe(v.number(), v.minValue(0));
const standing = v.object({
  state: v.picklist(["closed", "open", "half_open"]),
  failures: count,
  failedMsAgo: count,
  lease: count,
  leaseMsLeft: count,
});
const answer = v.object({ ...standing.entries, permission: v.picklist(["call", "probe", "refused"]) });

/** What itty-durable makes of an object: every property is a call, `then` too, so it is never returned or awaited. */
type Stub = Record<keyof BreakerRpc, (...args: number[]) => Promise<unknown>>;

/**
 * The breaker of a dependency, which is named in ASCII since the name travels in a header. Everything rejects where the
 * object cannot be reached, or answers something else.
 */
export function breakerObject(namespace: DurableObjectNamespace, name: string): BreakerRpc {
  // A new one with each call: a broken one stays broken.
  const stub = () => ({ of: proxyDurable(namespace, { parse: true }).get(name) as Stub });
  return {
    ask: async () => v.parse(answer, await stub().of.ask()),
    failed: async (lease) => v.parse(standing, await stub().of.failed(lease)),
    succeeded: async (lease) => v.parse(standing, await stub().of.succeeded(lease)),
    standing: async () => v.parse(standing, await stub().of.standing()),
  };
}
