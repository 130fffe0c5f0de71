/** Of event time, in ms: an hour holds enough of a slow beacon to tell of it, and a day of them is a night and a day. */
export const windowMs = 3_600_000;
/** Windows that are remembered of a host, the latest in which it did anything. */
export const windowsKept = 32;

/** One number about what one of the tenant's own hosts did in one window. */
export interface Feature {
  /** In snake_case, with its unit: as model cards, training files and explanations name it. */
  name: string;
  unit: string;
  /** Of the values that are told apart, after the logarithm if there is one; what lies outside counts as the bound. */
  min: number;
  max: number;
  /** Whether it is ln(1 + value) that counts. */
  isLog: boolean;
  /** What it is, as one half of a sentence. */
  meaning: string;
}

const count = (name: string, unit: string, max: number, meaning: string): Feature => {
  return { name, unit, min: 0, max: Math.log1p(max), isLog: true, meaning };
};
const share = (name: string, meaning: string): Feature => {
  return { name, unit: "share", min: 0, max: 1, isLog: false, meaning };
};

/** In the order of a vector. Models name those that they take. */
export const features: readonly Feature[] = [
  count("requests", "requests", 1e6, "requests that it made"),
  count("outside_peers", "hosts", 1e4, "hosts outside that it called"),
  count("inside_peers", "hosts", 1e4, "hosts inside that it called"),
  count("services", "services", 1e4, "services (port and protocol) that it called"),
  share("failed_share", "of its requests, those that were refused or not answered"),
  share("outside_share", "of its requests, those to the outside"),
  count("sent_bytes", "bytes", 1e12, "bytes that it sent"),
  count("received_bytes", "bytes", 1e12, "bytes that it was sent in answer"),
  share("sent_share", "of all bytes, those that it sent"),
  count("request_bytes", "bytes a request", 1e9, "bytes that it sent per request"),
  count("answer_bytes", "bytes an answer", 1e9, "bytes of an answer"),
  share("udp_share", "of its requests, those not over TCP"),
  share("uncommon_share", "of its requests to the outside, those to services that hosts do not usually poll"),
  share("active_share", "of the minutes, those in which it made requests"),
  share("new_peer_share", "of the hosts outside, those that it called in no earlier window"),
  count("rare_peers", "hosts", 1e3, "hosts outside that hardly anyone else in a network of ten hosts or more calls"),
  count("rare_requests", "requests", 1e5, "requests to the service of a rare peer that it called in most windows"),
  share("rare_active_share", "of the minutes, those with requests to it"),
  share("rare_size_spread", "deviation of the sizes of requests to it, over their mean"),
  count("rare_answer_bytes", "bytes an answer", 1e9, "bytes of an answer from it"),
  share("rare_uncommon", "whether it is a service that hosts do not usually poll"),
  count("rare_windows", "windows", 744, "earlier windows in which it was called"),
  count("served_requests", "requests", 1e6, "requests that it answered itself"),
  count("idle_windows", "windows", 744, "windows since the one before in which it did anything"),
];

export const featureCount = features.length;

/**
 * A window as models see it: per feature a level from 0 (its `min`) to 255 (its `max`). So fine, one step of a count is
 * a few hundredths to an eighth of it; a host's 32 windows take 768 bytes.
 */
export type Vector = Uint8Array<ArrayBuffer>;

export const levelMax = 255;

/** The level of a value in the feature's own unit. */
export function levelOf({ min, max, isLog }: Feature, value: number): number {
  const scaled = ((isLog ? Math.log1p(value) : value) - min) / (max - min);
  return Math.round(levelMax * Math.min(1, Math.max(0, scaled)));
}

/** The value in the feature's own unit that a level stands for. */
export function valueOf({ min, max, isLog }: Feature, level: number): number {
  const scaled = min + (level / levelMax) * (max - min);
  return isLog ? Math.expm1(scaled) : scaled;
}
