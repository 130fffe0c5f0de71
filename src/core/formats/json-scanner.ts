import type { FieldReader } from "./field-values.ts";
import { isSpace } from "./head.ts";

/** Objects and arrays within each other. Flow records nest 3 deep; the bound keeps the call stack small. */
export const JSON_DEPTH_MAX = 32;

const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const OPEN_ARRAY = 91;
const CLOSE_ARRAY = 93;
const COMMA = 44;
const COLON = 58;
const DOT = 46;
const MINUS = 45;
const NONE = -1;
const DEAD = 0;
const ROOT = 1;

/**
 * The key paths that a format wants, as an automaton over the bytes of the keys: `a.b` is the key `b` within the
 * object `a`, or the key `a.b`. Several paths may fill one slot: the one that stands first in the list wins.
 */
export class KeyPaths {
  readonly paths: readonly string[];
  /** `next[state << 7 | byte]`; state 0 is that of no wanted path. */
  readonly next: Uint16Array<ArrayBuffer>;
  /** Path that ends at a state, -1 where none does. */
  readonly pathOfState: Int16Array<ArrayBuffer>;
  readonly slotOfPath: Uint8Array<ArrayBuffer>;
  /** First path of each slot: what a missing field is called. */
  readonly slotNames: readonly string[];

  constructor(pathsOfSlots: readonly (readonly string[])[]) {
    this.paths = pathsOfSlots.flat();
    this.slotNames = pathsOfSlots.map((paths) => paths[0]);
    this.slotOfPath = Uint8Array.from(pathsOfSlots.flatMap((paths, slot) => paths.map(() => slot)));
    const statesMax = 2 + this.paths.reduce((sum, path) => sum + path.length, 0);
    this.next = new Uint16Array(statesMax << 7);
    this.pathOfState = new Int16Array(statesMax).fill(NONE);
    let states = 2;
    for (let path = 0; path < this.paths.length; path++) states = this.#add(path, states);
  }

  #add(path: number, states: number): number {
    let state = ROOT;
    let count = states;
    for (const letter of this.paths[path]) {
      const edge = (state << 7) | letter.charCodeAt(0);
      if (this.next[edge] === DEAD) this.next[edge] = count++;
      state = this.next[edge];
    }
    this.pathOfState[state] = path;
    return count;
  }
}

/**
 * Walks one JSON object, checks its syntax and points a `FieldReader` at the wanted values: at the text of strings,
 * without quotes and with their escapes as they stand, and at the raw text of everything else but null, which counts
 * as absent. Keys with escapes match nothing. All methods answer the index behind what they read, or -1.
 */
export class JsonScanner {
  readonly fields: FieldReader;
  readonly #paths: KeyPaths;
  readonly #next: Uint16Array<ArrayBuffer>;
  /** The path that filled each slot. */
  readonly #filledBy: Int16Array<ArrayBuffer>;
  #state = DEAD;

  constructor(paths: KeyPaths, fields: FieldReader) {
    this.fields = fields;
    this.#paths = paths;
    this.#next = paths.next;
    this.#filledBy = new Int16Array(fields.starts.length);
  }

  /** Whether `bytes[start, end)` is one JSON object and white space. */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    this.fields.clear(bytes);
    const open = skipSpace(bytes, start, end);
    if (open >= end || bytes[open] !== OPEN_OBJECT) return false;
    const close = this.#object(bytes, open + 1, end, ROOT, 1);
    return close >= 0 && skipSpace(bytes, close, end) === end;
  }

  /** Calls the fields what this record calls them. Only rejections need it. */
  nameFields(): void {
    const { starts, names } = this.fields;
    for (let slot = 0; slot < starts.length; slot++) {
      names[slot] = starts[slot] < 0 ? this.#paths.slotNames[slot] : this.#paths.paths[this.#filledBy[slot]];
    }
  }

  /** The path that filled a slot, -1 where the record has none. */
  filledBy(slot: number): number {
    return this.fields.starts[slot] < 0 ? NONE : this.#filledBy[slot];
  }

  #object(bytes: Uint8Array, from: number, end: number, state: number, depth: number): number {
    let at = skipSpace(bytes, from, end);
    if (at < end && bytes[at] === CLOSE_OBJECT) return at + 1;
    for (;;) {
      if (at >= end || bytes[at] !== QUOTE) return NONE;
      at = this.#key(bytes, at + 1, end, state);
      if (at < 0) return NONE;
      const keyState = this.#state;
      at = skipSpace(bytes, at, end);
      if (at >= end || bytes[at] !== COLON) return NONE;
      at = this.#value(bytes, skipSpace(bytes, at + 1, end), end, keyState, depth);
      if (at < 0) return NONE;
      at = skipSpace(bytes, at, end);
      if (at >= end) return NONE;
      if (bytes[at] === CLOSE_OBJECT) return at + 1;
      if (bytes[at] !== COMMA) return NONE;
      at = skipSpace(bytes, at + 1, end);
    }
  }

  /** Reads a key behind its opening quote; `#state` is then where it leads. */
  #key(bytes: Uint8Array, from: number, end: number, start: number): number {
    const next = this.#next;
    let state = start;
    for (let at = from; at < end; at++) {
      const byte = bytes[at];
      if (endsRun[byte] === 0 && byte < 128) {
        state = next[(state << 7) | byte];
        continue;
      }
      if (byte === QUOTE) {
        this.#state = state;
        return at + 1;
      }
      if (byte < 32) return NONE;
      this.#state = DEAD;
      return skipString(bytes, at, end);
    }
    return NONE;
  }

  #value(bytes: Uint8Array, at: number, end: number, state: number, depth: number): number {
    if (at >= end) return NONE;
    const first = bytes[at];
    if (first === QUOTE) {
      const close = skipString(bytes, at + 1, end);
      if (close >= 0 && state !== DEAD) this.#fill(state, at + 1, close - 1);
      return close;
    }
    const stop = this.#unquoted(bytes, at, end, first, state, depth);
    if (stop >= 0 && state !== DEAD && first !== 110) this.#fill(state, at, stop);
    return stop;
  }

  #unquoted(bytes: Uint8Array, at: number, end: number, first: number, state: number, depth: number): number {
    if (first === MINUS || (first >= 48 && first <= 57)) return skipNumber(bytes, at, end);
    if (first === OPEN_OBJECT) {
      if (depth === JSON_DEPTH_MAX) return NONE;
      return this.#object(bytes, at + 1, end, this.#next[(state << 7) | DOT], depth + 1);
    }
    if (first === OPEN_ARRAY) return depth === JSON_DEPTH_MAX ? NONE : this.#array(bytes, at + 1, end, depth + 1);
    return skipLiteral(bytes, at, end);
  }

  #array(bytes: Uint8Array, from: number, end: number, depth: number): number {
    let at = skipSpace(bytes, from, end);
    if (at < end && bytes[at] === CLOSE_ARRAY) return at + 1;
    for (;;) {
      at = this.#value(bytes, at, end, DEAD, depth);
      if (at < 0) return NONE;
      at = skipSpace(bytes, at, end);
      if (at >= end) return NONE;
      if (bytes[at] === CLOSE_ARRAY) return at + 1;
      if (bytes[at] !== COMMA) return NONE;
      at = skipSpace(bytes, at + 1, end);
    }
  }

  #fill(state: number, start: number, end: number): void {
    const path = this.#paths.pathOfState[state];
    if (path < 0) return;
    const slot = this.#paths.slotOfPath[path];
    const { starts, ends } = this.fields;
    if (starts[slot] >= 0 && path > this.#filledBy[slot]) return;
    starts[slot] = start;
    ends[slot] = end;
    this.#filledBy[slot] = path;
  }
}

function skipSpace(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && bytes[at] <= 32 && isSpace(bytes[at])) at++;
  return at;
}

/** 1 for the bytes that end the plain run of a string: quote, backslash, control characters. */
const endsRun = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 32 || byte === QUOTE || byte === BACKSLASH ? 1 : 0,
);

/** From within a string to behind its closing quote. */
function skipString(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const byte = bytes[at];
    if (endsRun[byte] === 0) continue;
    if (byte === QUOTE) return at + 1;
    if (byte < 32) return NONE;
    if (byte === BACKSLASH) {
      at = skipEscape(bytes, at + 1, end);
      if (at < 0) return NONE;
    }
  }
  return NONE;
}

/** From behind a backslash to the last byte of the escape. */
function skipEscape(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return NONE;
  switch (bytes[at]) {
    case 34: // "
    case 92: // \
    case 47: // /
    case 98: // b
    case 102: // f
    case 110: // n
    case 114: // r
    case 116: // t
      return at;
    case 117: // u
      return skipHex(bytes, at, end);
    default:
      return NONE;
  }
}

function skipHex(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 >= end) return NONE;
  for (let k = 1; k <= 4; k++) {
    const byte = bytes[at + k];
    const letter = byte | 32;
    if (!((byte >= 48 && byte <= 57) || (letter >= 97 && letter <= 102))) return NONE;
  }
  return at + 4;
}

function skipNumber(bytes: Uint8Array, from: number, end: number): number {
  let at = bytes[from] === MINUS ? from + 1 : from;
  const whole = skipDigits(bytes, at, end);
  if (whole === at || (bytes[at] === 48 && whole > at + 1)) return NONE;
  at = whole;
  if (at < end && bytes[at] === DOT) {
    const fraction = skipDigits(bytes, at + 1, end);
    if (fraction === at + 1) return NONE;
    at = fraction;
  }
  if (at < end && (bytes[at] | 32) === 101) {
    const sign = at + 1 < end && (bytes[at + 1] === 43 || bytes[at + 1] === MINUS) ? 1 : 0;
    const exponent = skipDigits(bytes, at + 1 + sign, end);
    if (exponent === at + 1 + sign) return NONE;
    at = exponent;
  }
  return at;
}

function skipDigits(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && bytes[at] >= 48 && bytes[at] <= 57) at++;
  return at;
}

const literals = ["true", "false", "null"].map((text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0)));

function skipLiteral(bytes: Uint8Array, at: number, end: number): number {
  for (const literal of literals) {
    if (literal[0] !== bytes[at]) continue;
    if (at + literal.length > end) return NONE;
    for (let k = 1; k < literal.length; k++) if (bytes[at + k] !== literal[k]) return NONE;
    return at + literal.length;
  }
  return NONE;
}
