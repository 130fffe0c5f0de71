import type { FactsOfSlot, NetworkFacts } from "../slots/network-facts.ts";
import {
  EntityWindows,
  type EntityState,
  type Entry,
  type Remembered,
  type StateCodec,
} from "../slots/entity-windows.ts";
import { EntityMemory, type Memory, type MemoryCodec } from "../slots/entity-memory.ts";
import type { StateReader } from "../slots/state-bytes.ts";
import type { AddressWords, Finding } from "../verdict.ts";
import { nothingEvicted, type Opinion, type SlotContacts, type SlotDetector } from "./detector.ts";
import { chooseForgotten, isAlarm } from "./forgetting.ts";

/** A detector that keeps one state per entity and window, and maybe a memory of each entity beyond. */
export interface Windowed<S extends EntityState, M, Settings extends object> {
  /** Of a window, in ms; windows are aligned to it. */
  lengthMs: number;
  codec: StateCodec<S>;
  /** What it remembers of an entity; none unless told. */
  memory?: MemoryCodec<M>;
  /** Time without news after which a memory is forgotten, in ms. */
  forgetMs?: number;
  /** Adds contacts to states: `windows.at`, `touch` for what is to be judged, `grew` for what may have grown. */
  learn(contacts: SlotContacts, windows: EntityWindows<S>): void;
  judge(entry: Entry<S>, settings: Readonly<Settings>, known: Known<M>): Finding | undefined;
  /** Above 0, higher stays longer. */
  interest(state: S): number;
  /** Has the memory learn from a window that has closed, and on which there was an alarm or not. */
  remember?(entry: Entry<S>, memory: M, isAlarm: boolean, now: Now<Settings>): void;
  /** Whether an entity is worth a memory; all are unless told. */
  isRemembered?(entry: Entry<S>): boolean;
  /** Tells what a window shows of the network as a whole: one that has closed, or an open one that is not small. */
  tell?(entry: Entry<S>, facts: FactsOfSlot): void;
  /** Whether it tells of a window each time that it was judged anew, and not only when it has closed. */
  tellsWhileOpen?: true;
  /** Whether its entities are those of the tenant's own hosts that call somebody outside: their number is told. */
  isOfCallers?: true;
}

/** What is in force, and what is known of the network, when a window closes. */
export interface Now<Settings> {
  settings: Readonly<Settings>;
  facts: NetworkFacts | undefined;
}

/** What a judgement may rest on beside the window itself. */
export interface Known<M> {
  /** Of an entity, from windows that closed before; undefined for one that is new. */
  memoryOf(address: AddressWords): M | undefined;
  facts: NetworkFacts | undefined;
}

/** Days without news after which an entity's memory is forgotten, unless a detector says otherwise. */
const forgetAfterMs = 30 * 86_400_000;

const nothingNew: Opinion[] = [];

/** Growth from which a number of hosts is told anew: each change of the facts is a row. */
const toldAnewFrom = 1.2;

const noMemory: MemoryCodec<undefined> = {
  create: () => undefined,
  save() {},
  load: () => undefined,
  bytes: () => 0,
};

/** One slot's memory of such a detector, for those who look into it. */
export interface WindowedDetector<S extends EntityState, M> extends SlotDetector {
  readonly windows: EntityWindows<S>;
  readonly memories: EntityMemory<M>;
}

/** One slot's memory of such a detector. */
export function windowed<S extends EntityState, M, Settings extends object>(
  kind: Windowed<S, M, Settings>,
  initial: Readonly<Settings>,
  saved?: StateReader,
): WindowedDetector<S, M> {
  const windows = new EntityWindows(kind.lengthMs, kind.codec);
  const codec = kind.memory ?? (noMemory as unknown as MemoryCodec<M>);
  const memories = new EntityMemory(codec, kind.forgetMs ?? forgetAfterMs);
  if (saved) {
    windows.load(saved);
    memories.load(saved);
  }
  let settings = initial;
  /** Closed, or judged while open, and not told of. */
  let untold: readonly Entry<S>[] = [];
  /** By window: hosts that it was last told to have. */
  const toldHosts = new Map<number, number>();
  const knownWith = (facts?: NetworkFacts): Known<M> => ({ memoryOf: (address) => memories.get(address), facts });
  return {
    windows,
    memories,
    learn(contacts) {
      kind.learn(contacts, windows);
    },
    findings(closedMs, facts) {
      if (!windows.hasNews(closedMs)) return nothingNew;
      const opinions: Opinion[] = [];
      const now = knownWith(facts);
      const judge = (entry: Entry<S>, final: boolean) => {
        const finding = kind.judge(entry, settings, now);
        if (!finding) return false;
        // A closed window is explained after the memory has learnt from it: by what was known before.
        const before = final ? memories.copyOf(entry.address) : undefined;
        const known = final ? { memoryOf: () => before, facts } : now;
        opinions.push({ finding, final, judge: (other) => kind.judge(entry, other as Settings, known) });
        return isAlarm(finding);
      };
      const touched = windows.takeTouched();
      for (const entry of touched) judge(entry, false);
      if (kind.tellsWhileOpen) untold = [...untold, ...touched];
      const closed = windows.takeClosed(closedMs);
      for (const entry of closed) {
        const found = judge(entry, true);
        if (kind.remember === undefined || kind.isRemembered?.(entry) === false) continue;
        const endMs = entry.windowStartMs + kind.lengthMs;
        memories.learn(entry.address, endMs, (memory) => kind.remember!(entry, memory, found, { settings, facts }));
      }
      if (closed.length > 0) memories.expire(closedMs);
      if (kind.tell && closed.length > 0) untold = [...untold, ...closed];
      return opinions;
    },
    configure(other) {
      settings = other as Settings;
    },
    tell(facts, everything) {
      for (const entry of untold) kind.tell!(entry, facts);
      if (untold.length > 0) untold = [];
      if (everything && kind.tell) for (const { entry } of windows.remembered()) if (entry) kind.tell(entry, facts);
      if (!kind.isOfCallers) return;
      for (const [windowStartMs, hosts] of windows.sizes()) {
        if (!everything && hosts <= toldAnewFrom * (toldHosts.get(windowStartMs) ?? 0)) continue;
        toldHosts.set(windowStartMs, hosts);
        facts.addHosts(hosts, windowStartMs);
      }
      for (const windowStartMs of toldHosts.keys()) if (!windows.has(windowStartMs)) toldHosts.delete(windowStartMs);
    },
    save(writer) {
      windows.save(writer);
      memories.save(writer);
    },
    get bytes() {
      return windows.bytes + memories.bytes;
    },
    get entities() {
      return windows.entities + memories.entities;
    },
    settle(bytesMax, hardBytesMax) {
      const dropped = windows.settle();
      if (windows.bytes + memories.bytes <= bytesMax) {
        return dropped === 0 ? nothingEvicted : { entities: dropped, alarmed: [] };
      }
      const known = knownWith();
      // A memory goes with what is judged by it.
      const entriesOf = (one: Remembered<S> | Memory<M>) =>
        ("entry" in one ? [one] : windows.within(one.address, -Infinity, Infinity)).flatMap(({ entry }) => entry ?? []);
      const open = windows
        .remembered()
        .map((one) => ({ ...one, interest: one.entry ? kind.interest(one.entry.state) : 0 }));
      const remembered = memories.remembered();
      const { forgotten, alarmed } = chooseForgotten([...open, ...remembered], { bytesMax, hardBytesMax }, (one) => {
        return entriesOf(one).flatMap((entry) => kind.judge(entry, settings, known) ?? []);
      });
      windows.forget(forgotten.filter((one) => "entry" in one));
      memories.forget(forgotten.filter((one) => "memory" in one));
      return { entities: dropped + forgotten.length, alarmed };
    },
  };
}
