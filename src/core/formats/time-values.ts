import { readUnsigned } from "./number-values.ts";

/** No time can be read. */
export const NO_TIME = -1;

const US_PER_SECOND = 1e6;
const TIME_US_MAX = Number.MAX_SAFE_INTEGER;
const DAYS_BEFORE_MONTH = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS_OF_MONTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Microseconds since 1970 of a date (`2026-11-22T10:00:00.5+02:00`, `2026/11/22 10:00:00`) or of decimal seconds. */
export function readTime(bytes: Uint8Array, start: number, end: number): number {
  const isDate = end - start >= 10 && (bytes[start + 4] === 45 || bytes[start + 4] === 47);
  return isDate ? readDate(bytes, start, end) : readSeconds(bytes, start, end);
}

/**
 * Whole microseconds of unsigned decimal seconds, further digits dropped. Digits are counted rather than multiplied
 * by fractions, so that 0.1 s is 100000 and not 99999.
 */
export function readSeconds(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  let i = start;
  for (; i < end && bytes[i] !== 46; i++) {
    const digit = bytes[i] - 48;
    if (digit < 0 || digit > 9) return readExponential(bytes, start, end);
    value = value * 10 + digit;
  }
  if (i === start) return NO_TIME;
  const us = i < end ? readFractionUs(bytes, i + 1, end) : 0;
  if (us < 0) return readExponential(bytes, start, end);
  value = value * US_PER_SECOND + us;
  return value <= TIME_US_MAX ? value : NO_TIME;
}

/** Microseconds of the digits after a decimal point, NO_TIME where one is no digit. */
function readFractionUs(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return NO_TIME;
  let us = 0;
  let unit = US_PER_SECOND / 10;
  for (let i = start; i < end; i++) {
    const digit = bytes[i] - 48;
    if (digit < 0 || digit > 9) return NO_TIME;
    if (unit >= 1) us += digit * unit;
    unit /= 10;
  }
  return us;
}

/** Zeek writes tiny durations as `9.5e-07`. */
function readExponential(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > 32) return NO_TIME;
  const text = String.fromCharCode(...bytes.subarray(start, end));
  if (!/^\d+(\.\d+)?[eE][+-]?\d+$/.test(text)) return NO_TIME;
  const us = Math.floor(Number(text) * US_PER_SECOND);
  return us <= TIME_US_MAX ? us : NO_TIME;
}

/**
 * Microseconds since 1970 of an epoch number whose unit its size tells: up to 11 integer digits are seconds, 12 to
 * 14 milliseconds, 15 to 17 microseconds, 18 to 20 nanoseconds.
 */
export function readEpoch(bytes: Uint8Array, start: number, end: number): number {
  let digitsEnd = start;
  while (digitsEnd < end && bytes[digitsEnd] >= 48 && bytes[digitsEnd] <= 57) digitsEnd++;
  const digits = digitsEnd - start;
  if (digits <= 11) return readSeconds(bytes, start, end);
  if (digits <= 14 && digitsEnd === end) return readUnsigned(bytes, start, end) * 1000;
  if (digits > 20 || (digitsEnd < end && readFractionUs(bytes, digitsEnd + 1, end) < 0)) return NO_TIME;
  if (digitsEnd < end && bytes[digitsEnd] !== 46) return NO_TIME;
  const usScale = digits <= 14 ? 1000 : 1;
  const lastDigit = digits >= 18 ? digitsEnd - 3 : digitsEnd;
  let value = 0;
  for (let i = start; i < lastDigit; i++) value = value * 10 + bytes[i] - 48;
  value *= usScale;
  return value <= TIME_US_MAX ? value : NO_TIME;
}

/** `YYYY-MM-DD` or `YYYY/MM/DD`, `T` or a space, `HH:MM:SS`, an optional fraction and an optional zone (else UTC). */
export function readDate(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 19) return NO_TIME;
  const mark = bytes[start + 10];
  if (bytes[start + 7] !== bytes[start + 4] || (mark !== 84 && mark !== 116 && mark !== 32)) return NO_TIME;
  if (bytes[start + 13] !== 58 || bytes[start + 16] !== 58) return NO_TIME;
  const days = readDays(bytes, start);
  const hour = twoDigits(bytes, start + 11);
  const minute = twoDigits(bytes, start + 14);
  const second = twoDigits(bytes, start + 17);
  if (days < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
    return NO_TIME;
  }
  const rest = readFractionAndZone(bytes, start + 19, end);
  if (Number.isNaN(rest)) return NO_TIME;
  const us = (days * 86_400 + hour * 3600 + minute * 60 + second) * US_PER_SECOND + rest;
  return us >= 0 && us <= TIME_US_MAX ? us : NO_TIME;
}

/** Days since 1970 of the date at `start`, -1 where it is none or earlier. */
function readDays(bytes: Uint8Array, start: number): number {
  const century = twoDigits(bytes, start);
  const yearOfCentury = twoDigits(bytes, start + 2);
  const month = twoDigits(bytes, start + 5);
  const day = twoDigits(bytes, start + 8);
  if (century < 0 || yearOfCentury < 0 || month < 1 || month > 12 || day < 1) return -1;
  const year = century * 100 + yearOfCentury;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (day > DAYS_OF_MONTH[month - 1] || (month === 2 && day === 29 && !isLeap)) return -1;
  const before = year - 1;
  const leapDays = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400) - 477;
  const leapDay = isLeap && month > 2 ? 1 : 0;
  return (year - 1970) * 365 + leapDays + DAYS_BEFORE_MONTH[month - 1] + leapDay + day - 1;
}

function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = bytes[at] - 48;
  const ones = bytes[at + 1] - 48;
  return tens < 0 || tens > 9 || ones < 0 || ones > 9 ? -1 : tens * 10 + ones;
}

/** Microseconds to add for what follows the seconds, NaN where it is no fraction and zone. */
function readFractionAndZone(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  let us = 0;
  if (i < end && (bytes[i] === 46 || bytes[i] === 44)) {
    let stop = i + 1;
    while (stop < end && bytes[stop] >= 48 && bytes[stop] <= 57) stop++;
    us = readFractionUs(bytes, i + 1, stop);
    if (us < 0) return NaN;
    i = stop;
  }
  return us - readZoneUs(bytes, i, end);
}

/** Microseconds that a zone is ahead of UTC: nothing, `Z`, `+02`, `+0200` or `+02:00`; else NaN. */
function readZoneUs(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length === 0) return 0;
  const sign = bytes[start];
  if (length === 1) return (sign | 32) === 122 ? 0 : NaN;
  if ((sign !== 43 && sign !== 45) || length < 3 || length === 4 || length > 6) return NaN;
  if (length === 6 && bytes[start + 3] !== 58) return NaN;
  const hours = twoDigits(bytes, start + 1);
  const minutes = length === 3 ? 0 : twoDigits(bytes, end - 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return NaN;
  const us = (hours * 60 + minutes) * 60 * US_PER_SECOND;
  return sign === 43 ? us : -us;
}
