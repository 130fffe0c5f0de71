/** What one side of a connection sent: payload bytes and packets. */
export interface Sent {
  bytes: number;
  packets: number;
}

/** One exchange on the wire, before any log has seen it. Times in epoch milliseconds. */
export interface Connection {
  startMs: number;
  endMs: number;
  source: string;
  sourcePort: number;
  target: string;
  targetPort: number;
  protocol: "tcp" | "udp";
  /**
   * `half-open`: a SYN was answered by a SYN-ACK and never confirmed. `reflected`: the source only ever received, what
   * it is said to have asked for was asked in its name.
   */
  outcome: "answered" | "unanswered" | "refused" | "blocked" | "half-open" | "reflected";
  sent: Sent;
  received: Sent;
  /** When packets passed, for connections that are silent most of the time; else evenly. */
  activityMs?: readonly number[];
}

/** An attack that is in the traffic: an event of a truth file. */
export interface PlantedEvent {
  threat: string;
  entity: string[];
  peer?: string[];
  port?: number;
  basis: string;
}

/** Traffic, and what is to be found in it. */
export interface Scene {
  /** The home networks. */
  internal: string[];
  connections: Connection[];
  events: PlantedEvent[];
}

const segmentBytes = 1460;

/** `bytes` in as many packets as they need, `extra` of them empty. */
function inPackets(bytes: number, extra = 0): Sent {
  const whole = Math.max(0, Math.round(bytes));
  return { bytes: whole, packets: Math.max(1, Math.ceil(whole / segmentBytes)) + extra };
}

export interface Endpoints {
  source: string;
  target: string;
  targetPort: number;
  protocol?: "tcp" | "udp";
  sourcePort: number;
}

/** A connection that was served: handshake and closing packets are counted in. */
export function answered(
  at: Endpoints & { startMs: number; durationMs: number; sentBytes: number; receivedBytes: number },
): Connection {
  const { durationMs, sentBytes, receivedBytes, protocol = "tcp", ...ends } = at;
  const extra = protocol === "tcp" ? 3 : 0;
  const received = inPackets(receivedBytes, extra);
  const sent = inPackets(sentBytes, extra);
  // Every second segment is acknowledged.
  if (protocol === "tcp") sent.packets += Math.floor(received.packets / 2);
  return { ...ends, protocol, endMs: at.startMs + durationMs, outcome: "answered", sent, received };
}

/** A first packet, `tries` of it, and what became of it. */
export function probe(
  at: Endpoints & { startMs: number; outcome: "unanswered" | "refused" | "blocked" | "half-open"; tries?: number },
): Connection {
  const { tries = 1, protocol = "tcp", ...ends } = at;
  const replies = at.outcome === "refused" || at.outcome === "half-open" ? 1 : 0;
  return {
    ...ends,
    protocol,
    // 1 s, 2 s, 4 s: the usual waits between the tries.
    endMs: at.startMs + (replies ? 20 : (2 ** (tries - 1) - 1) * 1000),
    sent: { bytes: protocol === "udp" ? 28 * tries : 0, packets: tries },
    received: { bytes: 0, packets: replies },
  };
}

export function ephemeralPort(random: { int(min: number, max: number): number }): number {
  return random.int(32768, 60999);
}
