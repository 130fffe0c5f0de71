import type { Connection, Scene } from "./connection.ts";
import type { Log } from "./log.ts";
import { Random } from "./random.ts";

const fields =
  "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents";
const types =
  "time string addr port addr port enum string interval count count string bool bool count string count count count count set[string]";

const services: { [port: string]: string } = {
  "53 udp": "dns",
  "123 udp": "ntp",
  "443 tcp": "ssl",
  "389 tcp": "ldap_tcp",
  "88 tcp": "krb_tcp",
  "445 tcp": "smb",
};

/** The scene as a Zeek sensor at the gateway logs it: one line per connection, written when it ended. */
export function zeekLog({ connections }: Scene, seed = 1): Log {
  const random = new Random(seed).fork("zeek uid");
  const ended = connections.toSorted((a, b) => a.endMs - b.endMs || a.startMs - b.startMs);
  return {
    header: [
      "#separator \\x09",
      "#set_separator\t,",
      "#empty_field\t(empty)",
      "#unset_field\t-",
      "#path\tconn",
      `#fields\t${fields.replaceAll(" ", "\t")}`,
      `#types\t${types.replaceAll(" ", "\t")}`,
    ],
    endMs: ended.map((connection) => connection.endMs),
    lines: ended.map((connection) => line(connection, random)),
  };
}

function line(connection: Connection, random: Random): string {
  const { source, sourcePort, target, targetPort, protocol, sent, received, startMs, endMs, outcome } = connection;
  const isTcp = protocol === "tcp";
  const headers = isTcp ? 40 : 28;
  const [state, history] = (isTcp ? tcpStates : udpStates)[outcome];
  const silent = received.packets === 0 && sent.packets <= 1;
  return [
    (startMs / 1000).toFixed(6),
    uid(random),
    source,
    sourcePort,
    target,
    targetPort,
    protocol,
    outcome === "answered" ? (services[`${targetPort} ${protocol}`] ?? "-") : "-",
    silent ? "-" : ((endMs - startMs) / 1000).toFixed(6),
    silent ? "-" : sent.bytes,
    silent ? "-" : received.bytes,
    state,
    isOwn(source) ? "T" : "F",
    isOwn(target) ? "T" : "F",
    0,
    history,
    sent.packets,
    sent.bytes + headers * sent.packets,
    received.packets,
    received.bytes + headers * received.packets,
    "-",
  ].join("\t");
}

const tcpStates = {
  answered: ["SF", "ShADadFf"],
  unanswered: ["S0", "S"],
  blocked: ["S0", "S"],
  refused: ["REJ", "Sr"],
  "half-open": ["S1", "Sh"],
  reflected: ["SHR", "^h"],
};
/** A reflected answer is turned round by Zeek, by its well-known port. */
const udpStates = {
  answered: ["SF", "Dd"],
  unanswered: ["S0", "D"],
  blocked: ["S0", "D"],
  refused: ["S0", "D"],
  "half-open": ["S0", "D"],
  reflected: ["SHR", "^d"],
};

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

function uid(random: Random): string {
  let text = "C";
  for (let i = 0; i < 17; i++) text += letters[random.int(0, 61)];
  return text;
}

function isOwn(host: string): boolean {
  return host.startsWith("10.") || host.startsWith("fd00:");
}
