import type { Anomaly } from "../core/verdict.ts";
import type { View } from "./permissions.ts";
import { cut, formatPrefix, isV4, mappedBits, parsePrefix, type Prefix } from "./prefix.ts";

/** What of an address a masked view shows, in bits of 128: of IPv4 a /24, of IPv6 a /48. */
const shownV4 = mappedBits + 24;
const shownV6 = 48;

/** Whether a view would show a prefix as long as this one. */
export function isTold(prefix: Prefix, view: View): boolean {
  if (view === "masked") return prefix.bits <= shownBitsOf(prefix);
  return view === "clear";
}

/** An anomaly of which nobody sees more than prefixes, wherever in it an address stands. */
export function masked<A extends Pick<Anomaly, "entity" | "peers" | "summary" | "evidence">>(anomaly: A): A {
  const { entity, peers, summary, evidence } = anomaly;
  return {
    ...anomaly,
    entity: maskedText(entity),
    peers: peers.map((peer) => ({ ...peer, address: maskedText(peer.address) })),
    summary: maskedText(summary),
    evidence: maskedValue(evidence),
  };
}

/** Of IPv4, or of IPv6 that may end in IPv4, with its length where it is a prefix. What looks like one may be none. */
const candidates = /(?:[0-9a-f]*:){2,}[0-9a-f.:]*(?:\/\d{1,3})?|\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?/gi;

/** Text with prefixes in the place of addresses. */
export function maskedText(text: string): string {
  return text.replace(candidates, (found) => {
    const [, start, middle, end] = /^(:(?!:))?(.*?)([.:]*)$/.exec(found)!;
    const isOpen = end.startsWith("::") && parsePrefix(`${middle}::`) !== undefined;
    const body = isOpen ? `${middle}::` : middle;
    const prefix = parsePrefix(body);
    const rest = isOpen ? end.slice(2) : end;
    return `${start ?? ""}${prefix ? shown(prefix) : maskedParts(body)}${rest}`;
  });
}

/** Of what is no address as a whole, what may be one: `10.0.0.5:443:x`. So many colons are nothing that evidence needs. */
function maskedParts(text: string): string {
  if (text.includes("::") || text.split(":").length > 7) return formatPrefix(everything);
  return text.replace(/\d{1,3}(?:\.\d{1,3}){3}/g, (part) => {
    const prefix = parsePrefix(part);
    return prefix ? shown(prefix) : part;
  });
}

const everything: Prefix = { words: [0, 0, 0, 0], bits: 0 };

function maskedValue<T>(value: T): T;
function maskedValue(value: unknown): unknown {
  if (typeof value === "string") return maskedText(value);
  if (Array.isArray(value)) return value.map((one) => maskedValue(one as unknown));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [maskedText(name), maskedValue(one)]));
}

function shown(prefix: Prefix): string {
  return formatPrefix(cut(prefix, shownBitsOf(prefix)));
}

function shownBitsOf(prefix: Prefix): number {
  return isV4(prefix) ? shownV4 : shownV6;
}
