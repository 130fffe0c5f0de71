import type { Thresholds } from "../thresholds.ts";

export const version = 1;
export const dayMs = 86_400_000;

/** A day with less has no finding, whatever the settings: the least value of `uploadBytesMin`. */
export const judgedFromBytes = 1_000_000;

export interface ExfiltrationSettings {
  /** Sent to one destination within a day: Slips' default for one of its windows. */
  uploadBytesMin: number;
  /** So many times what the host sent before, on its days at most. */
  baselineFactor: number;
  /** From here on no habit excuses it. */
  ceilingBytes: number;
  /** Producer/consumer ratio of a destination, −1 (it only sends) to 1 (it only receives): 0.6 is four to one. */
  ratioMin: number;
  /** By so much must the ratio of the host as a whole exceed that of its usual day. */
  ratioShiftMin: number;
  /** The same as `uploadBytesMin`, for a host of which no habit is known. */
  firstUploadBytesMin: number;
}

export const thresholds: Thresholds<ExfiltrationSettings> = {
  uploadBytesMin: {
    unit: "bytes a day",
    default: 100_000_000,
    min: judgedFromBytes,
    max: 1_000_000_000_000_000,
    isWhole: true,
    quiet: 500_000_000,
    sensitive: 50_000_000,
    raising: "quieter",
    cost: "Smaller uploads to one destination pass.",
  },
  baselineFactor: {
    unit: "times the largest usual upload",
    default: 3,
    min: 1,
    max: 1000,
    quiet: 5,
    sensitive: 2,
    raising: "quieter",
    cost: "Uploads that are little larger than usual ones have one reason less.",
  },
  ceilingBytes: {
    unit: "bytes a day",
    default: 20_000_000_000,
    min: judgedFromBytes,
    max: 1_000_000_000_000_000,
    isWhole: true,
    raising: "quieter",
    cost: "Hosts that send much every day may send more.",
  },
  ratioMin: {
    unit: "producer/consumer ratio",
    default: 0.6,
    min: 0,
    max: 1,
    quiet: 0.8,
    raising: "quieter",
    cost: "Uploads to destinations that answer more pass.",
  },
  ratioShiftMin: {
    unit: "difference of ratios",
    default: 0.5,
    min: 0.05,
    max: 2,
    raising: "quieter",
    cost: "Hosts that turn from consumer to producer by less have one reason less.",
  },
  firstUploadBytesMin: {
    unit: "bytes a day",
    default: 2_000_000_000,
    min: judgedFromBytes,
    max: 1_000_000_000_000_000,
    isWhole: true,
    quiet: 10_000_000_000,
    sensitive: 1_000_000_000,
    raising: "quieter",
    cost: "On a host's first days, smaller uploads stay low.",
  },
};
