import { Protocol } from "./flow-batch.ts";

/** IANA name in lower case of the protocols that findings speak of; the number as text for the others. */
export function protocolName(protocol: number): string {
  switch (protocol) {
    case Protocol.Icmp:
      return "icmp";
    case Protocol.Tcp:
      return "tcp";
    case Protocol.Udp:
      return "udp";
    case Protocol.Icmp6:
      return "ipv6-icmp";
    default:
      return String(protocol);
  }
}

/** A service as one number, for labels and keys: port in the high bits, protocol in the low eight. */
export function serviceOf(port: number, protocol: number): number {
  return (port << 8) | protocol;
}

export function servicePort(service: number): number {
  return service >>> 8;
}

export function serviceProtocol(service: number): number {
  return service & 255;
}

/** `443/tcp`; ICMP without its type. */
export function serviceName(service: number): string {
  const protocol = serviceProtocol(service);
  const name = protocolName(protocol);
  return protocol === Protocol.Icmp || protocol === Protocol.Icmp6 ? name : `${servicePort(service)}/${name}`;
}

/** Services that programs on ordinary hosts poll all day. */
const commonPorts = new Set([
  22, 25, 53, 80, 110, 123, 143, 443, 465, 587, 853, 993, 995, 1883, 3478, 5222, 5223, 5228, 8080, 8443, 8883,
]);

export function isUncommon(service: number): boolean {
  return !commonPorts.has(servicePort(service));
}
