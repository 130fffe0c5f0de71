import type { Thresholds } from "../thresholds.ts";

export const version = 1;
export const dayMs = 86_400_000;

export interface LateralMovementSettings {
  /** Own hosts that one reaches on administration ports for the first time, within a day. */
  newTargetsMin: number;
  /** The same, as a multiple of the most on any day before. */
  habitFactor: number;
  /** Closed days of a host from which it has a past. */
  historyDaysMin: number;
  /** New targets of a host without a past that was itself reached before: what spreads like a worm. */
  firstTargetsMin: number;
  /** Longest time between being reached and reaching on that makes a chain. */
  chainHoursMax: number;
}

export const thresholds: Thresholds<LateralMovementSettings> = {
  newTargetsMin: {
    unit: "targets a day",
    default: 5,
    min: 2,
    max: 10_000,
    isWhole: true,
    quiet: 8,
    sensitive: 4,
    raising: "quieter",
    cost: "Movement to fewer new hosts passes, unless they form a chain.",
  },
  habitFactor: {
    unit: "times the most new targets of a usual day",
    default: 2,
    min: 1,
    max: 100,
    quiet: 3,
    raising: "quieter",
    cost: "Hosts that often reach new ones may reach more.",
  },
  historyDaysMin: {
    unit: "days",
    default: 2,
    min: 1,
    max: 14,
    isWhole: true,
    quiet: 7,
    raising: "quieter",
    cost: "Hosts that are new on the network stay low for longer.",
  },
  firstTargetsMin: {
    unit: "targets a day",
    default: 20,
    min: 5,
    max: 10_000,
    isWhole: true,
    quiet: 50,
    raising: "quieter",
    cost: "Worms on a network that is not known yet are found later.",
  },
  chainHoursMax: {
    unit: "hours",
    default: 4,
    min: 0.01,
    max: 24,
    quiet: 1,
    raising: "louder",
    cost: "Logins that have nothing to do with each other look like a chain.",
  },
};
