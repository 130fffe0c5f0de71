import type { CandidateReason, Shown } from "../features/candidate.ts";
import { windowMs, windowsKept, type Vector } from "../features/features.ts";
import { HostPast } from "../features/host-past.ts";
import { vectorOf, type RarePair } from "../features/host-vector.ts";
import { HostWindow, minuteOf, Sum } from "../features/host-window.ts";
import { bucketMs } from "../flow/contacts.ts";
import { formatAddress } from "../flow/address.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { protocolName, servicePort, serviceProtocol } from "../flow/protocols.ts";
import { keyOfAddress, type EntityWindows, type Entry } from "../slots/entity-windows.ts";
import type { NetworkFacts } from "../slots/network-facts.ts";
import type { AddressWords, Peer } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { endOfRun } from "./runs.ts";
import { windowed, type Now } from "./windowed.ts";

export interface AnomalySettings {
  /** Share of benign windows that look at least so strange to the models, up to which a window is an anomaly. */
  pValueMax: number;
  /** Share of hosts that nothing speaks against which models look at all the same, each hour anew. */
  sampleShare: number;
  /** Deviations from the mean of its earlier windows, of some feature, from which on a host is unlike itself. */
  deviationsMin: number;
}

/** Earlier windows from which on a host can be unlike itself: a day, since by night hosts are not what they are by day. */
const ownWindowsMin = 24;
/** And levels of difference below which nobody speaks of it: an eighth of a feature's range. */
const ownLevelsMin = 32;
/** Earlier windows in which a rare peer was called, from which on models look at its caller. */
const rareWindowsMin = 3;

/** A window that has closed since models were last shown any. */
interface Closed {
  address: AddressWords;
  startMs: number;
  /** Why models should look at it; nothing unless it is suspect. */
  reason: CandidateReason | undefined;
  peers: Peer[];
  vectors: readonly Vector[];
}

/**
 * Anomaly: a host behaves as neither it nor others used to, whatever it is that it does.
 *
 * Method: per own host and hour a vector (`core/features`), and the sequence of the latest 32. It finds nothing by
 * itself: it chooses who is looked at by the models of tier 2, and their opinions become findings (`tiers/`). Chosen are
 * hosts on which there is a finding; those that do, in some feature, what they did not do before; those that keep
 * calling a peer that hardly anyone else calls; and of the others a sample.
 * Bounds: per host and hour 24 pairs of lowest hash, bitmaps for what is counted; per host 32 vectors and 64 services.
 * Misses: hosts of up to three requests an hour; outsiders; what looks like everybody's day.
 * Source: Liu, Ting, Zhou, Isolation Forest, ICDM 2008; Malhotra et al., LSTM-based Encoder-Decoder, 2016; which
 * windows to look at is our own.
 */
export const anomaly: Detector<AnomalySettings> = {
  id: "anomaly",
  version: 1,
  thresholds: {
    pValueMax: {
      unit: "share",
      default: 0.001,
      min: 0,
      max: 0.05,
      quiet: 0.0002,
      sensitive: 0.005,
      raising: "louder",
      cost: "So many more hours of hosts that did nothing wrong are raised.",
    },
    sampleShare: {
      unit: "share",
      default: 0.01,
      min: 0,
      max: 1,
      sensitive: 0.1,
      raising: "louder",
      cost: "Models take some 50 µs for each host and hour.",
    },
    deviationsMin: {
      unit: "deviations",
      default: 4,
      min: 1,
      max: 100,
      quiet: 6,
      sensitive: 3,
      raising: "quieter",
      cost: "Models do not look at hosts that changed less.",
    },
  },
  create(settings, saved) {
    let closed: Closed[] = [];
    const own = windowed<HostWindow, HostPast, AnomalySettings>(
      {
        lengthMs: windowMs,
        codec: HostWindow.codec,
        memory: HostPast.codec,
        learn,
        // Asked about windows that close, before the host's past learns from them; and about those to be forgotten.
        judge: () => undefined,
        isRemembered: ({ state }) => !state.isSmall,
        remember: (entry, past, _isAlarm, now) => {
          closed.push(close(entry, past, now));
        },
        interest: ({ sums }) => 1 + sums[Sum.Requests],
      },
      settings,
      saved,
    );
    return Object.assign(own, {
      candidates(suspects: readonly AddressWords[], facts: NetworkFacts): Shown[] {
        const suspect = new Set(suspects.map(keyOfAddress));
        const shown = closed.flatMap((one) => {
          const isSuspect = suspect.delete(keyOfAddress(one.address));
          // What is unlike itself as well weighs more, if models say so too.
          const reason = isSuspect && one.reason !== "unlike_itself" ? "finding" : one.reason;
          return reason ? [shownOf(one, { reason, isClosed: true })] : [];
        });
        closed = [];
        for (const address of suspects) {
          if (suspect.has(keyOfAddress(address)))
            shown.push(...openOf(own.windows, own.memories.get(address), address, facts));
        }
        return shown;
      },
    });
  },
};

function learn({ contacts, pairs: indexes, targets: served }: SlotContacts, hours: EntityWindows<HostWindow>): void {
  const { pairs, targets, addresses, addressHash, internal } = contacts;
  for (let from = 0, end = 0; from < indexes.length; from = end) {
    const first = indexes[from];
    end = from + 1;
    const source = pairs.source[first];
    if (internal[source] === 0) continue;
    const entry = hours.at(addresses, source, pairs.bucket[first]);
    end = endOfRun(pairs, indexes, from, entry.windowStartMs, windowMs);
    const startBucket = entry.windowStartMs / bucketMs;
    entry.state.addressHash = addressHash[source];
    for (let at = from; at < end; at++) {
      const i = indexes[at];
      entry.state.learn(contacts, i, minuteOf(pairs.bucket[i], startBucket));
    }
    hours.grew(entry);
  }
  for (const i of served) {
    const target = targets.target[i];
    if (targets.answered[i] === 0 || internal[target] === 0) continue;
    const entry = hours.at(addresses, target, targets.bucket[i]);
    entry.state.addressHash = addressHash[target];
    entry.state.serve(targets.answered[i]);
    hours.grew(entry);
  }
}

/** Has the host's past learn the window, and says why models should look at it. */
function close(
  { address, windowStartMs, state }: Entry<HostWindow>,
  past: HostPast,
  { settings, facts }: Now<AnomalySettings>,
): Closed {
  const number = windowStartMs / windowMs;
  const { vector, rare } = vectorOf(state, number, past, facts);
  const chance = hashService(state.addressHash, number & 0xffff, 0) / 2 ** 32;
  let reason: CandidateReason | undefined;
  if (isUnlikeItself(vector, past.vectors, settings.deviationsMin)) reason = "unlike_itself";
  else if (rare && rare.windows >= rareWindowsMin) reason = "rare_peer";
  else if (chance < settings.sampleShare) reason = "sample";
  const { pairs } = state;
  past.learn(
    number,
    vector,
    Array.from({ length: pairs.size }, (_, row) => pairs.hash(row)),
  );
  return { address, startMs: windowStartMs, reason, peers: peersOf(state, rare), vectors: past.vectors };
}

function isUnlikeItself(vector: Vector, past: readonly Vector[], deviationsMin: number): boolean {
  if (past.length < ownWindowsMin) return false;
  return vector.some((level, i) => {
    const mean = past.reduce((sum, one) => sum + one[i], 0) / past.length;
    const variance = past.reduce((sum, one) => sum + (one[i] - mean) ** 2, 0) / past.length;
    const difference = Math.abs(level - mean);
    return difference >= ownLevelsMin && difference >= deviationsMin * Math.sqrt(variance);
  });
}

/** A suspect's window that is still open, as far as it went. */
function openOf(
  hours: EntityWindows<HostWindow>,
  past: HostPast | undefined,
  address: AddressWords,
  facts: NetworkFacts,
): Shown[] {
  const open = hours.within(address, -Infinity, Infinity).flatMap(({ entry }) => entry ?? []);
  const latest = open.reduce<Entry<HostWindow> | undefined>(
    (best, entry) => (best && best.windowStartMs > entry.windowStartMs ? best : entry),
    undefined,
  );
  if (!latest) return [];
  const { windowStartMs: startMs, state } = latest;
  const { vector, rare } = vectorOf(state, startMs / windowMs, past, facts);
  const vectors = [...(past?.vectors ?? []), vector].slice(-windowsKept);
  return [shownOf({ address, startMs, vectors, peers: peersOf(state, rare) }, { reason: "finding", isClosed: false })];
}

function peersOf({ pairs }: HostWindow, rare: RarePair | undefined): Peer[] {
  if (!rare) return [];
  const service = pairs.label(rare.row);
  const [address] = pairs.peers(rare.row);
  return [
    { address: formatAddress(address), port: servicePort(service), protocol: protocolName(serviceProtocol(service)) },
  ];
}

function shownOf(
  { address, startMs, vectors, peers }: Omit<Closed, "reason">,
  { reason, isClosed }: Pick<Shown, "reason" | "isClosed">,
): Shown {
  const window = { startMs, endMs: startMs + windowMs };
  return { entity: formatEntity(address), window, reason, isClosed, peers, vectors };
}
