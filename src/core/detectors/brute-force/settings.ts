import type { Thresholds } from "../thresholds.ts";

export const version = 1;
export const dayMs = 86_400_000;

/** On a host with fewer of a day nobody has a finding, whatever the settings: the least value of `distributedAttemptsMin`. */
export const visitsJudgedFrom = 20;

export interface BruteForceSettings {
  /** Attempts within ten minutes on a service that is known for logins. */
  attemptsMin: number;
  /** The same on one target, where several began at once. */
  parallelAttemptsMin: number;
  /** The same on any other port, where only their shape tells. */
  otherAttemptsMin: number;
  /** Attempts within a day, or several, that never come so fast. */
  slowAttemptsMin: number;
  /** Share of the attempts whose size lies about the median. */
  alikeShareMin: number;
  /** Attempts on one host within a day by strangers who each make a few. */
  distributedAttemptsMin: number;
  distributedSourcesMin: number;
}

export const thresholds: Thresholds<BruteForceSettings> = {
  attemptsMin: {
    unit: "attempts in ten minutes",
    default: 20,
    min: 8,
    max: 500,
    isWhole: true,
    quiet: 40,
    sensitive: 12,
    raising: "quieter",
    cost: "Guessing by fewer logins at a time is found later, by the day's number, or passes.",
  },
  parallelAttemptsMin: {
    unit: "attempts in ten minutes",
    default: 16,
    min: 8,
    max: 500,
    isWhole: true,
    quiet: 40,
    sensitive: 8,
    raising: "quieter",
    cost: "Tools that try with fewer connections at a time, several passwords on each, pass.",
  },
  otherAttemptsMin: {
    unit: "attempts in ten minutes",
    default: 60,
    min: 20,
    max: 500,
    isWhole: true,
    quiet: 120,
    raising: "quieter",
    cost: "Guessing by fewer logins at a time, on ports that are not known for logins, passes.",
  },
  slowAttemptsMin: {
    unit: "attempts",
    default: 40,
    min: 10,
    max: 100_000,
    isWhole: true,
    quiet: 100,
    sensitive: 24,
    raising: "quieter",
    cost: "Slow guessing is found later, or passes.",
  },
  alikeShareMin: {
    unit: "share",
    default: 0.8,
    min: 0.5,
    max: 1,
    quiet: 0.9,
    sensitive: 0.7,
    raising: "quieter",
    cost: "Guessing among other use of the same service passes.",
  },
  distributedAttemptsMin: {
    unit: "attempts a day",
    default: 100,
    min: visitsJudgedFrom,
    max: 1_000_000,
    isWhole: true,
    quiet: 1000,
    raising: "quieter",
    cost: "Smaller attacks by many sources on one host pass.",
  },
  distributedSourcesMin: {
    unit: "sources",
    default: 10,
    min: 3,
    max: 10_000,
    isWhole: true,
    quiet: 20,
    raising: "quieter",
    cost: "Attacks on one host by fewer sources, none of which does much, pass.",
  },
};
