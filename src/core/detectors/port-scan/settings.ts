import type { Thresholds } from "../thresholds.ts";

/** Rises when saved bytes or scores change meaning. */
export const version = 2;

export interface PortScanSettings {
  /** Distinct ports of one target that failed, within an hour. Lower finds smaller scans and more broken clients. */
  portsMin: number;
  /** The same within a day: slower, but nothing of it answered. */
  slowPortsMin: number;
  /** Distinct targets that failed on one port, by a source from outside, and by one of our own. */
  remoteTargetsMin: number;
  localTargetsMin: number;
  /** The same within a day. */
  slowTargetsMin: number;
  /** Distinct (target, port) that failed, of several ports of several targets each, within an hour and within a day. */
  blockMin: number;
  slowBlockMin: number;
  /** Where the log does not show outcomes, what counts is this many times the thresholds above. */
  unknownFactor: number;
  /** From so many of our own hosts on that sent nothing at all, a target counts for `darkFactor`. */
  darkHostsMin: number;
  darkFactor: number;
  /** Addresses of one network outside (/24, /64) that take part in what is said of the network. */
  networkSourcesMin: number;
  /** Distinct ports of one target that failed for many sources together, within a day; and how many those are. */
  distributedPortsMin: number;
  distributedSourcesMin: number;
  /** Ports that half of these tried at least: strangers who have nothing in common try one or two. */
  portsPerSourceMin: number;
}

export const thresholds: Thresholds<PortScanSettings> = {
  portsMin: {
    unit: "ports",
    default: 15,
    min: 5,
    max: 10000,
    isWhole: true,
    quiet: 30,
    sensitive: 10,
    raising: "quieter",
    cost: "Scans of fewer ports of one host within an hour pass.",
  },
  slowPortsMin: {
    unit: "ports",
    default: 10,
    min: 5,
    max: 10000,
    isWhole: true,
    quiet: 30,
    raising: "quieter",
    cost: "Scans of fewer ports of one host within a day pass.",
  },
  remoteTargetsMin: {
    unit: "targets",
    default: 25,
    min: 5,
    max: 10000,
    isWhole: true,
    quiet: 50,
    sensitive: 15,
    raising: "quieter",
    cost: "Sweeps from outside over fewer hosts within an hour pass.",
  },
  localTargetsMin: {
    unit: "targets",
    default: 40,
    min: 5,
    max: 10000,
    isWhole: true,
    quiet: 100,
    sensitive: 25,
    raising: "quieter",
    cost: "Sweeps by your own hosts over fewer hosts within an hour pass.",
  },
  slowTargetsMin: {
    unit: "targets",
    default: 60,
    min: 5,
    max: 10000,
    isWhole: true,
    quiet: 150,
    sensitive: 40,
    raising: "quieter",
    cost: "Sweeps over fewer hosts within a day pass.",
  },
  blockMin: {
    unit: "attempts",
    default: 40,
    min: 5,
    max: 10000,
    isWhole: true,
    quiet: 100,
    sensitive: 25,
    raising: "quieter",
    cost: "Scans of fewer ports of several hosts within an hour pass.",
  },
  slowBlockMin: {
    unit: "attempts",
    default: 60,
    min: 5,
    max: 10000,
    isWhole: true,
    quiet: 150,
    sensitive: 40,
    raising: "quieter",
    cost: "Scans of fewer ports of several hosts within a day pass.",
  },
  unknownFactor: {
    unit: "attempts for one",
    default: 4,
    min: 1,
    max: 100,
    isWhole: true,
    raising: "quieter",
    cost: "In logs without outcomes, only larger scans are found.",
  },
  darkHostsMin: {
    unit: "hosts",
    default: 3,
    min: 1,
    max: 10000,
    isWhole: true,
    quiet: 10,
    raising: "quieter",
    cost: "Sweeps that meet fewer hosts that never send anything need more targets.",
  },
  darkFactor: {
    unit: "targets for one",
    default: 2.5,
    min: 1,
    max: 5,
    quiet: 1,
    raising: "louder",
    cost: "Smaller sweeps over hosts that are switched off are alerts as well.",
  },
  networkSourcesMin: {
    unit: "sources",
    default: 3,
    min: 2,
    max: 64,
    isWhole: true,
    quiet: 5,
    raising: "quieter",
    cost: "Scans from fewer addresses of one network are only found by what each did.",
  },
  distributedPortsMin: {
    unit: "ports",
    default: 40,
    min: 10,
    max: 10000,
    isWhole: true,
    quiet: 80,
    sensitive: 25,
    raising: "quieter",
    cost: "Scans of fewer ports of one host by many sources pass.",
  },
  distributedSourcesMin: {
    unit: "sources",
    default: 10,
    min: 3,
    max: 10000,
    isWhole: true,
    quiet: 25,
    raising: "quieter",
    cost: "Scans by fewer sources together pass.",
  },
  portsPerSourceMin: {
    unit: "ports",
    default: 3,
    min: 2,
    max: 10,
    isWhole: true,
    quiet: 4,
    raising: "quieter",
    cost: "Scans by many sources that try fewer ports each are taken for strangers' knocking, and are low.",
  },
};
