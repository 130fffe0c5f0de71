import { thousands } from "./table.ts";

/** How far a transfer is: a bar on a terminal, else a line every few seconds. Writes to stderr. */
export class Progress {
  readonly #total: number;
  readonly #unit: string;
  readonly #isTerminal = process.stderr.isTTY;
  readonly #startMs = performance.now();
  #shownMs = -Infinity;
  /** What was not shown yet. */
  #latest: { bytes: number; count: number } | undefined;

  /** `total`: bytes to come, 0 if unknown. */
  constructor(total: number, unit: string) {
    this.#total = total;
    this.#unit = unit;
  }

  show(bytes: number, count: number): void {
    const nowMs = performance.now();
    this.#latest = { bytes, count };
    if (nowMs - this.#shownMs < (this.#isTerminal ? 100 : 5000)) return;
    this.#latest = undefined;
    this.#shownMs = nowMs;
    this.#write(bytes, count);
  }

  #write(bytes: number, count: number): void {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = `${thousands(count)} ${this.#unit}, ${thousands(count / Math.max(seconds, 0.001))}/s`;
    if (this.#total === 0) return this.#line(rate);
    const share = Math.min(1, bytes / this.#total);
    const eta = share > 0 ? `${Math.ceil((seconds * (1 - share)) / share)} s left` : "";
    const percent = `${Math.floor(100 * share)} %`.padStart(5);
    const done = Math.round(30 * share);
    const bar = this.#isTerminal ? `${"█".repeat(done)}${"░".repeat(30 - done)} ` : "";
    this.#line(`${bar}${percent}  ${rate}  ${eta}`);
  }

  /** A remark between two states of the bar. */
  note(text: string): void {
    this.#line(text);
    if (this.#isTerminal) process.stderr.write("\n");
  }

  #line(text: string): void {
    process.stderr.write(this.#isTerminal ? `\r\u001B[K${text}` : `${text}\n`);
  }

  /** Takes the bar away, or writes the line of the end. */
  end(): void {
    if (this.#isTerminal) process.stderr.write("\r\u001B[K");
    else if (this.#latest) this.#write(this.#latest.bytes, this.#latest.count);
  }
}
