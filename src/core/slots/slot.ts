import type { Detector, SlotContacts, SlotDetector } from "../detectors/detector.ts";
import { bucketMs } from "../flow/contacts.ts";
import { severities, type Finding, type Verdict, type VerdictState } from "../verdict.ts";
import { StateReader, type StateWriter } from "./state-bytes.ts";

/** What was last published about one anomaly whose window is open. */
interface Published {
  finding: Finding;
  revision: number;
}

/** A provisional verdict is published anew when its score moved by this much, or its peers doubled. */
const scoreStep = 0.05;

/** Below it, a verdict is published once it is final: nobody acts on it at once, and each revision costs a row. */
const provisionalFrom = severities.indexOf("medium");

/**
 * One of a tenant's 256 parts: the unit of event time, and of moving. It owns the detectors' memory of its entities
 * and decides what is published about them.
 */
export class Slot {
  /** Greatest end seen, in buckets. */
  watermark = 0;
  /** Records refused because their window may have closed. */
  lateRecords = 0;
  #revision = 0;
  readonly #detectors: SlotDetector[];
  readonly #kinds: readonly Detector[];
  readonly #published = new Map<string, Published>();

  constructor(kinds: readonly Detector[], saved?: StateReader) {
    this.#kinds = kinds;
    const blocks = saved ? this.#load(saved) : new Map<string, StateReader>();
    this.#detectors = kinds.map((kind) => kind.create(kind.defaults, blocks.get(`${kind.id} ${kind.version}`)));
  }

  learn(contacts: SlotContacts): void {
    for (const detector of this.#detectors) detector.learn(contacts);
  }

  /** What is new; windows that end at or before `closedMs` close, and what was said of them becomes final. */
  verdicts(closedMs: number): Verdict[] {
    const verdicts: Verdict[] = [];
    for (const detector of this.#detectors) {
      for (const { finding, final } of detector.findings(closedMs)) {
        const key = keyOf(finding);
        const before = this.#published.get(key);
        if (final) {
          this.#published.delete(key);
          verdicts.push(this.#verdict(finding, "final"));
        } else if (
          before ? hasMoved(before.finding, finding) : severities.indexOf(finding.severity) >= provisionalFrom
        ) {
          const verdict = this.#verdict(finding, "provisional");
          this.#published.set(key, { finding, revision: verdict.revision });
          verdicts.push(verdict);
        }
      }
    }
    for (const [key, { finding }] of this.#published) {
      if (finding.window.endMs > closedMs) continue;
      this.#published.delete(key);
      verdicts.push(this.#verdict(finding, "withdrawn"));
    }
    return verdicts;
  }

  save(writer: StateWriter): void {
    writer.u32(this.watermark);
    writer.f64(this.lateRecords);
    writer.f64(this.#revision);
    writer.text(JSON.stringify([...this.#published]));
    writer.u32(this.#detectors.length);
    this.#detectors.forEach((detector, i) => {
      writer.text(`${this.#kinds[i].id} ${this.#kinds[i].version}`);
      writer.block((block) => detector.save(block));
    });
  }

  /** Reads everything but the detectors; of those the blocks, by id and version. */
  #load(saved: StateReader): Map<string, StateReader> {
    this.watermark = saved.u32();
    this.lateRecords = saved.f64();
    this.#revision = saved.f64();
    for (const [key, published] of JSON.parse(saved.text()) as [string, Published][])
      this.#published.set(key, published);
    const blocks = new Map<string, StateReader>();
    for (let left = saved.u32(); left > 0; left--) blocks.set(saved.text(), new StateReader(saved.block()));
    return blocks;
  }

  #verdict(finding: Finding, state: VerdictState): Verdict {
    const completeness = { late_records: this.lateRecords, evicted_entities: 0, folded_contacts: 0 };
    return { ...finding, state, revision: ++this.#revision, completeness };
  }
}

/** Event time up to which a slot's windows are closed: nothing that ends before it is still accepted. */
export function closedUpToMs(watermark: number, allowanceBuckets: number): number {
  return (watermark - allowanceBuckets) * bucketMs;
}

function keyOf({ threat, entity, window }: Finding): string {
  return `${threat} ${entity} ${window.startMs} ${window.endMs}`;
}

function hasMoved(before: Finding, after: Finding): boolean {
  return (
    severities.indexOf(after.severity) !== severities.indexOf(before.severity) ||
    Math.abs(after.score - before.score) >= scoreStep ||
    after.peerCount >= 2 * before.peerCount
  );
}
