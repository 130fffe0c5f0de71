/**
 * What the sweep plants, fixed before the detectors that it judges: a change here is a change of the measure, and
 * belongs into a commit of its own that says why.
 *
 * Every point is planted on hosts of its own, in each background, by each seed, beside as many benign look-alikes of
 * the same threat. `wanted` says what an analyst may ask for: `found`, `silent` (so little that an alert would be
 * noise), or `either` (near any sensible threshold, or more than flows can tell); the last counts in no figure but its
 * own row.
 */
export interface Point {
  readonly [parameter: string]: number | string;
}

export type Wanted = "found" | "silent" | "either";

/** Odd seeds are for development; even ones are looked at once, when a version is done. */
export const seeds = { seen: [1, 3, 5, 7], unseen: [2, 4, 6, 8] } as const;

/** The generator's, and benign captures of the shared folder, where there is one, replayed by their own clock. */
export const backgrounds = { generated: ["office", "cloud"], captures: "benign" } as const;

const minuteS = 60;
const hourS = 3600;
const dayS = 24 * hourS;

/** Ports of one host, or hosts on one port, at an even pace; none lasts longer than a day. */
export const portScan = {
  kinds: ["vertical", "horizontal", "block", "icmp_sweep", "distributed"],
  /** Attempts per second: from one in 5 minutes to a burst. */
  ratePerS: [0.003_34, 0.03, 0.3, 3, 30, 300, 1000],
  /** Distinct (target, port) in all. */
  fanOut: [5, 10, 20, 50, 100, 300, 1000, 10_000],
  outcomes: ["unanswered", "refused", "blocked"],
  durationMaxS: dayS,
  /** `quick` ends within an hour. Below 20 a client with a broken service list looks alike. */
  wanted({ fanOut, kind, durationS }: { fanOut: number; kind: string; durationS: number }): Wanted {
    if (fanOut <= 5) return "silent";
    const isQuick = durationS <= hourS;
    const least = kind === "vertical" ? (isQuick ? 20 : 50) : isQuick ? 50 : 100;
    return fanOut >= least ? "found" : "either";
  },
  lookalikes: [
    "clients of a server that is down",
    "peer-to-peer client",
    "resolver",
    "monitoring probe",
    "late replies",
    "backscatter",
    "crawler",
  ],
} as const;

/** Of one victim, for two minutes; `sources` are distinct. */
export const flood = {
  kinds: ["syn", "udp", "long_flows", "carpet"],
  /** Requests a second; for `long_flows`, packets a second in 20 flows. */
  flowsPerS: [5, 20, 50, 100, 300, 1000],
  packetsPerS: [2000, 20_000, 50_000, 200_000],
  sources: [1, 10, 100, 1000, 10_000],
  durationS: 2 * minuteS,
  wanted({ kind, rate }: { kind: string; rate: number }): Wanted {
    const [silentTo, foundFrom] = kind === "long_flows" ? [2000, 50_000] : [5, 50];
    return rate >= foundFrom ? "found" : rate <= silentTo ? "silent" : "either";
  },
  lookalikes: ["flash crowd", "backup", "speed test", "video meeting", "busy resolver", "retries to a dead server"],
} as const;

/** Replies that nobody asked for. */
export const reflection = {
  services: [53, 123, 389, 1900, 11_211],
  repliesPerS: [5, 50, 300, 1000],
  reflectors: [10, 100, 1000],
  durationS: 2 * minuteS,
  wanted({ rate, reflectors }: { rate: number; reflectors: number }): Wanted {
    if (rate <= 5) return "silent";
    return rate >= 50 && reflectors >= 100 ? "found" : "either";
  },
  lookalikes: ["busy resolver", "time server's clients", "game server query", "video meeting"],
} as const;

/** An implant that calls one peer, for at most a day, after two days in which only the benign pollers were there. */
export const beacon = {
  intervalS: [5, 15, minuteS, 5 * minuteS, 15 * minuteS, hourS, 6 * hourS],
  /** Uniform on ((1 − jitter) × interval, interval). */
  jitter: [0, 0.1, 0.2, 0.3, 0.5],
  missing: [0, 0.1, 0.3],
  ports: [443, 80, 8443, 4444, 53],
  historyDays: 2,
  /** Of a flow log with a day's worth: fewer than 20 contacts prove nothing, and none lasts less than an hour. */
  wanted({ intervalS }: { intervalS: number }): Wanted {
    return intervalS <= hourS ? "found" : "either";
  },
  /** As many hosts as beacons, each polling from the first day unless told; by the share of each kind. */
  lookalikes: {
    "fleet agent: one service, all hosts, 60 s": 0.2,
    "update service: some hosts, 1 h, large answers at times": 0.1,
    "device cloud: one host, own service, 30 s, 8883": 0.15,
    "mail client: 5 min, answers vary": 0.1,
    "chat keep-alive: one long connection, sliced": 0.1,
    "time server: 64 s to 1024 s": 0.1,
    "monitoring of an outside site: one host, 60 s, page as answer": 0.1,
    "new fleet agent: since today, all hosts, 15 s": 0.1,
    "browser tab: 30 s while people work, popular service": 0.05,
  },
  /** Intervals from a beacon's start within which one of at most 20 % jitter is to be found. */
  foundWithinIntervals: 8,
} as const;

/** Logins that fail, over one service. */
export const bruteForce = {
  services: [22, 21, 23, 3389, 445, 3306, 902],
  attemptsPerS: [2 / hourS, 20 / hourS, 2 / minuteS, 0.5, 2, 10],
  sources: [1, 20],
  /** As long as 200 attempts take, between 5 minutes and a day. */
  attempts: 200,
  wanted({ perS }: { perS: number }): Wanted {
    if (perS <= 2 / hourS) return "either";
    return "found";
  },
  lookalikes: [
    "configuration management: SSH to many hosts, every half hour",
    "backup over SSH, every minute",
    "file share client",
    "database pool",
    "FTP transfers",
    "terminal work",
  ],
} as const;

/** Upload to a destination that nobody used before, after two days of ordinary traffic. */
export const exfiltration = {
  megabytes: [1, 10, 100, 500, 2000, 20_000],
  durationS: [10 * minuteS, 2 * hourS, 12 * hourS],
  historyDays: 2,
  wanted({ megabytes }: { megabytes: number }): Wanted {
    return megabytes >= 500 ? "found" : megabytes <= 1 ? "silent" : "either";
  },
  lookalikes: ["nightly backup to a cloud", "video meetings", "code hosting", "photo upload of 50 MB", "web server"],
} as const;

/** New logins from host to host inside, after two days. */
export const lateralMovement = {
  services: [22, 445, 3389, 5985, 135],
  hosts: [2, 4, 8, 20],
  /** Hosts one after the other (`chain`), or all from one (`fan`). */
  shapes: ["fan", "chain"],
  historyDays: 2,
  wanted({ hosts }: { hosts: number }): Wanted {
    return hosts >= 8 ? "found" : "either";
  },
  lookalikes: ["administrator's host", "vulnerability-free inventory: once a day, all hosts", "new file server"],
} as const;

export const dnsTunnel = {
  queriesPerS: [0.2, 2, 20],
  bytesPerQuery: [80, 150, 250],
  durationS: hourS,
  wanted({ bytesPerS }: { bytesPerS: number }): Wanted {
    return bytesPerS >= 300 ? "found" : bytesPerS <= 20 ? "silent" : "either";
  },
  lookalikes: ["resolver of the network", "mail server", "busy browser", "name server"],
} as const;

export const longConnection = {
  hours: [1, 4, 8, 12, 20],
  slicedS: [0, minuteS, 10 * minuteS],
  wanted({ hours }: { hours: number }): Wanted {
    return hours >= 12 ? "found" : hours <= 1 ? "silent" : "either";
  },
  lookalikes: ["VPN of the fleet", "chat keep-alive of the fleet", "monitoring stream"],
} as const;

/**
 * Hosts that begin to do what they never did, and what no detector is made for; after two and a half days of a life of
 * their own, for twelve hours or more. `strength` says how much of it; `life` whose host it is.
 */
export const novelBehaviour = {
  lives: ["office", "server", "device"],
  strengths: ["obvious", "plain", "faint", "trace"],
  historyHours: 60,
  hours: 24,
  /** Each begins within so many hours, and lasts. */
  beginWithinHours: 8,
  lastsHours: 14,
  /** By kind and in the order of the strengths. */
  kinds: {
    /** Mean time between calls to one peer, exponential: nothing to measure an interval by. */
    beacon_exponential: { unit: "minutes between calls", values: [2, 10, 30, 180] },
    /** Others' traffic: what one peer sends goes out again to whoever asked for it. */
    relay: { unit: "peers an hour", values: [300, 120, 50, 8] },
    spam_bot: { unit: "mail servers an hour", values: [300, 100, 30, 3] },
    /** Dealt to peers of which none gets more than 20 MB: within three hours. */
    spread_upload: { unit: "MB", values: [2000, 700, 250, 30] },
    p2p_bot: { unit: "peers an hour", values: [200, 80, 30, 4] },
    miner: { unit: "minutes between connections", values: [5, 15, 40, 240] },
    new_server: { unit: "requests an hour", values: [400, 80, 15, 1] },
  },
  /**
   * Obvious and plain are to be found: each changes what the host does in every hour. Faint ones are within what a
   * person may begin one day: a call each half hour, the peers of a busy browser, the candidates of some calls, a share
   * for a few colleagues; but 30 mail servers an hour are never a client's. A trace is a handful of flows a day, a
   * miner's but a few long connections.
   */
  wanted({ kind, strength }: { kind: string; strength: string }): Wanted {
    if (strength === "trace") return kind === "miner" ? "either" : "silent";
    return strength === "faint" && kind !== "spam_bot" ? "either" : "found";
  },
  /** As many hosts as points; each begins within the same hours, but the last. */
  lookalikes: {
    "new backup to one cloud": 0.1,
    "a day of video meetings": 0.1,
    "software update day": 0.1,
    "new registry and code hosting": 0.1,
    "new regular poller: one host, 60 s": 0.1,
    "new heavy browser": 0.1,
    "guest device": 0.1,
    "printer that is used more": 0.1,
    "night shift": 0.1,
    "nothing new": 0.1,
  },
} as const;
