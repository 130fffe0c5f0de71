/** IANA numbers by the names that flow logs use, lower case. */
const numbers: ReadonlyMap<string, number> = new Map([
  ["hopopt", 0],
  ["icmp", 1],
  ["igmp", 2],
  ["ggp", 3],
  ["ipip", 4],
  ["ipencap", 4],
  ["ipv4", 4],
  ["ip", 4],
  ["st", 5],
  ["tcp", 6],
  ["egp", 8],
  ["igp", 9],
  ["pup", 12],
  ["udp", 17],
  ["hmp", 20],
  ["xns-idp", 22],
  ["rdp", 27],
  ["iso-tp4", 29],
  ["dccp", 33],
  ["xtp", 36],
  ["ddp", 37],
  ["ipv6", 41],
  ["ipv6-route", 43],
  ["ipv6-frag", 44],
  ["idrp", 45],
  ["rsvp", 46],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["skip", 57],
  ["ipv6-icmp", 58],
  ["icmp6", 58],
  ["icmpv6", 58],
  ["icmp-v6", 58],
  ["ipv6-nonxt", 59],
  ["ipv6-no", 59],
  ["ipv6-opts", 60],
  ["ipv6-opt", 60],
  ["eigrp", 88],
  ["ospf", 89],
  ["ospfigp", 89],
  ["ospfig", 89],
  ["ax.25", 93],
  ["etherip", 97],
  ["encap", 98],
  ["pim", 103],
  ["ipcomp", 108],
  ["vrrp", 112],
  ["pgm", 113],
  ["l2tp", 115],
  ["isis", 124],
  ["fc", 133],
  ["sctp", 132],
  ["mobility-header", 135],
  ["udplite", 136],
  ["mpls-in-ip", 137],
  ["hip", 139],
  ["shim6", 140],
  ["wesp", 141],
  ["rohc", 142],
  // Argus names what it finds inside of UDP, Zeek what it cannot name (255 is IANA's "reserved").
  ["rtp", 17],
  ["rtcp", 17],
  ["udt", 17],
  ["unknown_transport", 255],
]);

const NAME_BYTES_MAX = 24;

/** IANA number of the protocol at `bytes[start, end)`, a number or a name in any letter case; -1 where it is none. */
export function protocolNumber(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return -1;
  const first = bytes[start];
  if (first >= 48 && first <= 57) return smallNumber(bytes, start, end);
  if (end - start === 3) {
    const name = ((first | 32) << 16) | ((bytes[start + 1] | 32) << 8) | (bytes[start + 2] | 32);
    if (name === 0x74_63_70) return 6;
    if (name === 0x75_64_70) return 17;
  }
  return end - start > NAME_BYTES_MAX ? -1 : namedNumber(bytes, start, end);
}

function smallNumber(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i] - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > 255) return -1;
  }
  return value;
}

function namedNumber(bytes: Uint8Array, start: number, end: number): number {
  const name = String.fromCharCode(...bytes.subarray(start, end)).toLowerCase();
  return numbers.get(name) ?? -1;
}

/** Whether flows of this protocol have ports: TCP, UDP, DCCP, SCTP, UDP-Lite. */
export function hasPorts(protocol: number): boolean {
  return protocol === 6 || protocol === 17 || protocol === 33 || protocol === 132 || protocol === 136;
}
