/** What the guessers of passwords know a port for. */
export const Service = { Other: 0, Login: 1, Mail: 2, Database: 3, Crowded: 4 } as const;
export type Service = (typeof Service)[keyof typeof Service];

/** TCP ports of the services that Hydra, Medusa and Ncrack have modules for, and the usual second ports of them. */
const knownPorts: readonly (readonly [Service, readonly number[]])[] = [
  // FTP, SSH, telnet, SMB, r-services, NCP, AFP, VMware, PPTP, CVS, RDP, Subversion, PCAnywhere, VNC, WinRM.
  [
    Service.Login,
    [
      21, 22, 23, 139, 445, 512, 513, 514, 524, 548, 902, 990, 992, 1723, 2222, 2323, 2401, 3389, 3690, 5631, 5900,
      5901, 5902, 5985, 5986,
    ],
  ],
  [Service.Mail, [25, 110, 143, 465, 587, 993, 995]],
  [Service.Database, [1433, 1521, 3050, 3306, 5432, 6379, 9042, 27_017]],
  // Whose every client makes many short exchanges that are alike: web, names, directories, agents, clusters.
  [
    Service.Crowded,
    [
      53, 80, 88, 111, 135, 389, 443, 593, 636, 853, 1883, 2379, 3128, 3268, 3269, 5222, 5223, 5228, 5666, 6443, 8000,
      8008, 8080, 8081, 8443, 8883, 8888, 9100, 9200, 10_050, 10_051, 10_250,
    ],
  ],
];

export const services = new Uint8Array(65_536);
for (const [service, ports] of knownPorts) for (const port of ports) services[port] = service;

/** What a client has sent before it can try a password: SSH's and RDP's exchange of keys, SMB's negotiation. */
export const sentBytesMin = new Map([
  [22, 800],
  [2222, 800],
  [3389, 600],
  [445, 300],
]);

/** Of mail and of other ports only our own: clients ask for mail all day, and reach ports of all sorts outside. */
export function isWatched(service: number, targetInternal: number): boolean {
  if (service === Service.Crowded) return false;
  return targetInternal === 1 || service === Service.Login || service === Service.Database;
}

/** Services whose clients are few and known. Mail is there for strangers. */
export function isGuarded(service: number): boolean {
  return service === Service.Login || service === Service.Database;
}
