import type { Thresholds } from "../thresholds.ts";

export interface C2BeaconSettings {
  /** Contacts of a pair before it is judged. Fewer finds beacons earlier, and calls more of chance regular. */
  contactsMin: number;
  /** The same where they keep to one beat that chance does not make, towards a peer that is new. */
  sureContactsMin: number;
  /** Timing score, 0 to 1, from which a pair counts as regular. Uniform jitter of 50 % scores 0.9. */
  timingScoreMin: number;
  /** Size score, 0 to 1, from which the requests count as alike. */
  sizeScoreMin: number;
  /** Median gap below which contacts are one burst, such as a page load, not a beacon. */
  gapMinMs: number;
  /**
   * Median gap up to which uniform contacts look like an implant's sleep: by default most sleep for 5 to 60 seconds.
   * Higher finds sleepier ones, and the pollers of every fleet.
   */
  sleepMaxMs: number;
  /** Contacts from which a uniform exchange is taken seriously. */
  uniformContactsMin: number;
  /** Mean answer up to which a pair exchanges messages rather than fetches content. */
  answerBytesMax: number;
  /** Share of contacts without an answer, and number of contacts, that make a persistent call to a dead or dying host. */
  unansweredShareMin: number;
  persistentContactsMin: number;
  /** Ten-minute spans of the day with contacts, from which a pair has lasted: a scan or a session has not. */
  activeBinsMin: number;
  /** Regular peers of one source beyond which it is a program that talks to many, such as a peer-to-peer client. */
  peersOfOneSourceMax: number;
  /** Days for which a peer that a source did not call before is new. */
  newDaysMax: number;
  /** Share of the network's hosts that call a peer, from which it is a service of the network. */
  commonShareMin: number;
}

export const c2BeaconThresholds: Thresholds<C2BeaconSettings> = {
  contactsMin: {
    unit: "contacts",
    default: 12,
    min: 4,
    max: 1000,
    isWhole: true,
    quiet: 24,
    sensitive: 8,
    raising: "quieter",
    cost: "Beacons are found after more contacts, or not at all.",
  },
  sureContactsMin: {
    unit: "contacts",
    default: 6,
    min: 4,
    max: 1000,
    isWhole: true,
    quiet: 12,
    raising: "quieter",
    cost: "Beacons to new peers are found after more contacts, or not at all.",
  },
  timingScoreMin: {
    unit: "score",
    default: 0.8,
    min: 0,
    max: 1,
    raising: "quieter",
    cost: "Beacons of more jitter pass.",
  },
  sizeScoreMin: {
    unit: "score",
    default: 0.9,
    min: 0,
    max: 1,
    raising: "quieter",
    cost: "Beacons whose requests differ more pass.",
  },
  gapMinMs: {
    unit: "ms",
    default: 1000,
    min: 0,
    max: 3600000,
    isWhole: true,
    raising: "quieter",
    cost: "Faster beacons pass.",
  },
  sleepMaxMs: {
    unit: "ms",
    default: 120000,
    min: 1000,
    max: 86400000,
    isWhole: true,
    raising: "louder",
    cost: "More pollers are taken for implants.",
  },
  uniformContactsMin: {
    unit: "contacts",
    default: 30,
    min: 4,
    max: 10000,
    isWhole: true,
    raising: "quieter",
    cost: "Uniform exchanges are found later.",
  },
  answerBytesMax: {
    unit: "bytes",
    default: 16384,
    min: 0,
    max: 1000000000,
    isWhole: true,
    raising: "louder",
    cost: "More programs that fetch content are taken for implants.",
  },
  unansweredShareMin: {
    unit: "share",
    default: 0.4,
    min: 0,
    max: 1,
    raising: "quieter",
    cost: "Calls to hosts that answer more often pass.",
  },
  persistentContactsMin: {
    unit: "contacts",
    default: 50,
    min: 4,
    max: 100000,
    isWhole: true,
    raising: "quieter",
    cost: "Calls to dead hosts are found later.",
  },
  activeBinsMin: {
    unit: "ten-minute spans",
    default: 3,
    min: 1,
    max: 144,
    isWhole: true,
    raising: "quieter",
    cost: "Beacons must last longer.",
  },
  peersOfOneSourceMax: {
    unit: "peers",
    default: 4,
    min: 1,
    max: 128,
    isWhole: true,
    raising: "louder",
    cost: "Peer-to-peer clients are taken for implants.",
  },
  newDaysMax: {
    unit: "days",
    default: 1,
    min: 0,
    max: 30,
    isWhole: true,
    quiet: 0,
    raising: "louder",
    cost: "What a host began to poll some days ago is still held against it.",
  },
  commonShareMin: {
    unit: "share",
    default: 0.1,
    min: 0.01,
    max: 1,
    raising: "louder",
    cost: "Services that fewer of the hosts use are taken for controllers.",
  },
};
