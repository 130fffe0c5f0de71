import type { Clock } from "../config.ts";
import { parseAddress } from "../core/flow/address.ts";
import type { NetworkMatcher } from "../core/flow/networks.ts";
import type { GuardedRequest, Layer, Refusal, SecurityContext } from "./context.ts";
import { TokenBuckets, type RateLimitBinding } from "./rate-limit.ts";
import { targetOf } from "./signature.ts";
import type { ClientNetworks } from "./tenant.ts";

/** Characters of a path with its query: `fields` may name 100 columns of 64. */
const targetCharsMax = 8192;
/** A shipper behind three proxies sends about thirty. */
const headersMax = 100;
/** Characters of all names and values: as much as most servers take, a hundredth of what a flood would like. */
const headerCharsMax = 16_384;

/** Of one client network, in each isolate: an object answers about as many; a burst is what a queue lets go at once. */
const clientRate = { perSecond: 1000, burst: 2000 };
/** What a request with a bad key costs its network, in requests: twenty a second, and a list of keys is of no use. */
const faultCost = 50;
/** Networks that an isolate remembers, 200 bytes each. */
const clientsMax = 10_000;

export interface NetworkParts {
  clock: Clock;
  /** Networks that nobody may call from; null: none. */
  denied: NetworkMatcher | null;
  /** Counts for all isolates of a location, where it is bound. */
  rateLimit?: RateLimitBinding | undefined;
  /** Bytes that a body of this path may have. */
  bodyBytesMax(path: string): number;
}

/** The outermost door: what can be told without knowing who asks, and before anything is read. */
export class NetworkLayer implements Layer {
  readonly name = "network";
  readonly isForAll = true;
  readonly #parts: NetworkParts;
  readonly #clients = new TokenBuckets(clientRate, clientsMax);

  constructor(parts: NetworkParts) {
    this.#parts = parts;
  }

  async check({ raw }: GuardedRequest, context: SecurityContext): Promise<Refusal | undefined> {
    const { clock, denied, rateLimit } = this.#parts;
    const client = clientOf(raw.headers);
    context.clientAddress = client?.text ?? null;
    if (client && denied?.(...client.words)) return refusal({ reason: "refused" }, "denied_network");
    const bad = badTarget(targetOf(raw.url)) ?? badHeaders(raw.headers) ?? this.#badLength(raw);
    if (bad) return bad;
    if (!client) return undefined;
    const waitMs = this.#clients.take(client.network, 1, clock.nowMs());
    if (waitMs > 0) return tooMany(waitMs);
    return (await isOverLimit(rateLimit, client.network)) ? tooMany(bindingWaitMs) : undefined;
  }

  /** Somebody came with a bad key from there. */
  charge({ clientAddress }: SecurityContext): void {
    const words = clientAddress === null ? undefined : parseAddress(clientAddress);
    if (words) this.#clients.drain(networkOf(words), faultCost, this.#parts.clock.nowMs());
  }

  #badLength({ headers, url }: Request): Refusal | undefined {
    const text = headers.get("Content-Length");
    if (text === null) return undefined;
    if (!/^\d{1,15}$/.test(text)) return refusal({ reason: "bad_request" }, "bad_content_length");
    const value = this.#parts.bodyBytesMax(targetOf(url));
    if (Number(text) <= value) return undefined;
    return refusal({ reason: "limit_exceeded", limit: { name: "raw", value, unit: "bytes" } }, "body_too_long");
  }
}

/** Of the period that the binding counts over, in ms: it does not say when it lets go. */
const bindingWaitMs = 10_000;

/** A binding that fails shuts nobody out: the isolate's own buckets hold. */
async function isOverLimit(binding: RateLimitBinding | undefined, key: string): Promise<boolean> {
  if (!binding) return false;
  try {
    return !(await binding.limit({ key })).success;
  } catch {
    return false;
  }
}

type Words = NonNullable<ReturnType<typeof parseAddress>>;

/**
 * The client as the platform names it. It writes `CF-Connecting-IP` itself, over whatever came with the request; every
 * other header, and `cf`, can be written by anyone.
 */
function clientOf(headers: Headers): { text: string; words: Words; network: string } | undefined {
  const text = headers.get("CF-Connecting-IP") ?? "";
  const words = text.length > 0 && text.length <= 45 ? parseAddress(text) : undefined;
  return words && { text, words, network: networkOf(words) };
}

/** One address of IPv4; of IPv6 the /64, of which every host has all. */
function networkOf([a, b, c, d]: Words): string {
  const isV4 = a === 0 && b === 0 && c === 0xffff;
  return isV4 ? `4/${d}` : `6/${a}/${b}`;
}

/** Whether a tenant's keys may be used from there. Whoever has a list of networks wants to know from where. */
export function isWelcome({ allow, deny }: ClientNetworks, address: string | null): boolean {
  if (!allow && !deny) return true;
  const words = address === null ? undefined : parseAddress(address);
  if (!words) return !allow;
  return !deny?.(...words) && (!allow || allow(...words));
}

/** No route has anything but these in its path, so nothing is decoded, and nothing can be hidden. */
const pathPattern = /^\/[\w.~:@!$&'()*+,;=/-]*$/;

function badTarget(target: string): Refusal | undefined {
  if (target.length > targetCharsMax) return refusal({ reason: "bad_request" }, "url_too_long");
  const question = target.indexOf("?");
  const path = question < 0 ? target : target.slice(0, question);
  const isPlain = pathPattern.test(path) && !path.includes("//") && !/\/\.\.?(\/|$)/.test(path);
  return isPlain ? undefined : refusal({ reason: "bad_request" }, "path_trick");
}

function badHeaders(headers: Headers): Refusal | undefined {
  let [count, chars] = [0, 0];
  for (const [name, value] of headers) {
    count += 1;
    chars += name.length + value.length;
    if (count > headersMax || chars > headerCharsMax) return refusal({ reason: "bad_request" }, "too_many_headers");
  }
  return undefined;
}

function tooMany(waitMs: number): Refusal {
  return refusal({ reason: "too_many_requests", retryAfterS: Math.max(1, Math.ceil(waitMs / 1000)) }, "rate_limit");
}

function refusal(failure: Refusal["failure"], fault: string): Refusal {
  return { failure, action: "network", fault };
}
