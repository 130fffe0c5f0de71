/** How the host of another is entered, by TCP port, and the ATT&CK technique of it. */
export const techniques = new Map([
  [22, "T1021.004"],
  [2222, "T1021.004"],
  [23, "T1021"],
  [512, "T1021"],
  [513, "T1021"],
  [514, "T1021"],
  [135, "T1021.003"],
  [139, "T1021.002"],
  [445, "T1021.002"],
  [3389, "T1021.001"],
  [4899, "T1021"],
  [5900, "T1021.005"],
  [5901, "T1021.005"],
  [5985, "T1021.006"],
  [5986, "T1021.006"],
]);

export const isAdministration = new Uint8Array(65_536);
for (const port of techniques.keys()) isAdministration[port] = 1;
