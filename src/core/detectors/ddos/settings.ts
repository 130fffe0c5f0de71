import type { Thresholds } from "../thresholds.ts";

/** Rises when saved bytes or scores change meaning. */
export const version = 2;

export interface DdosSettings {
  unansweredMin: number;
  unsolicitedMin: number;
  prefixUnansweredMin: number;
  flowsCeiling: number;
  packetsMin: number;
  packetsCeiling: number;
  bytesMin: number;
  bytesCeiling: number;
  sustainedMin: number;
  tolerance: number;
  warmUpFactor: number;
  sourcesMin: number;
  targetsMin: number;
}

export const thresholds: Thresholds<DdosSettings> = {
  unansweredMin: {
    unit: "requests a minute",
    default: 500,
    min: 60,
    max: 10_000_000,
    isWhole: true,
    quiet: 1500,
    sensitive: 250,
    raising: "quieter",
    cost: "Floods of fewer requests without an answer pass.",
  },
  unsolicitedMin: {
    unit: "replies a minute",
    default: 500,
    min: 60,
    max: 10_000_000,
    isWhole: true,
    quiet: 1500,
    sensitive: 250,
    raising: "quieter",
    cost: "Reflections of fewer replies pass.",
  },
  prefixUnansweredMin: {
    unit: "requests a minute",
    default: 1000,
    min: 60,
    max: 10_000_000,
    isWhole: true,
    quiet: 5000,
    sensitive: 500,
    raising: "quieter",
    cost: "Floods of fewer requests over one of your networks pass.",
  },
  flowsCeiling: {
    unit: "requests or replies a minute",
    default: 60_000,
    min: 60,
    max: 1_000_000_000,
    isWhole: true,
    raising: "quieter",
    cost: "Targets that are used to much without an answer are found under attack later.",
  },
  packetsMin: {
    unit: "packets a minute",
    default: 600_000,
    min: 20_000,
    max: 1_000_000_000_000,
    isWhole: true,
    quiet: 1_800_000,
    sensitive: 300_000,
    raising: "quieter",
    cost: "Floods of fewer packets pass.",
  },
  packetsCeiling: {
    unit: "packets a minute",
    default: 6_000_000,
    min: 20_000,
    max: 1_000_000_000_000,
    isWhole: true,
    raising: "quieter",
    cost: "Targets that are used to many packets are found under attack later.",
  },
  bytesMin: {
    unit: "bytes a minute",
    default: 3_750_000_000,
    min: 100_000_000,
    max: 1_000_000_000_000_000,
    isWhole: true,
    quiet: 11_250_000_000,
    sensitive: 1_875_000_000,
    raising: "quieter",
    cost: "Floods of fewer bytes pass.",
  },
  bytesCeiling: {
    unit: "bytes a minute",
    default: 37_500_000_000,
    min: 100_000_000,
    max: 1_000_000_000_000_000,
    isWhole: true,
    raising: "quieter",
    cost: "Targets that are used to many bytes are found under attack later.",
  },
  sustainedMin: {
    unit: "requests",
    default: 1500,
    min: 60,
    max: 100_000_000,
    isWhole: true,
    quiet: 6000,
    sensitive: 750,
    raising: "quieter",
    cost: "Floods below the threshold of a minute must last longer.",
  },
  tolerance: {
    unit: "times the usual",
    default: 3,
    min: 1,
    max: 1000,
    quiet: 5,
    sensitive: 2,
    raising: "quieter",
    cost: "Of targets with a habit, floods that exceed it by less pass.",
  },
  warmUpFactor: {
    unit: "times the floor",
    default: 2,
    min: 1,
    max: 100,
    raising: "quieter",
    cost: "Targets of which no habit is known are watched less closely.",
  },
  sourcesMin: {
    unit: "sources",
    default: 10,
    min: 1,
    max: 64,
    isWhole: true,
    raising: "quieter",
    cost: "Reflections, volumes and floods over a network from fewer sources pass.",
  },
  targetsMin: {
    unit: "targets",
    default: 8,
    min: 2,
    max: 64,
    isWhole: true,
    raising: "quieter",
    cost: "Floods over fewer hosts of one of your networks pass.",
  },
};
