import { createHash } from "node:crypto";
import { readConfig, systemClock } from "../../../src/config.ts";
import { rawBytesMax } from "../../../src/ingest/body.ts";
import { applicationLayer } from "../../../src/security/application.ts";
import { runChain } from "../../../src/security/chain.ts";
import type { SecurityContext } from "../../../src/security/context.ts";
import { dataLayer } from "../../../src/security/data.ts";
import { directoryOf } from "../../../src/security/directory.ts";
import { gatewayLayer } from "../../../src/security/gateway.ts";
import { derivedKeyring } from "../../../src/security/keyring.ts";
import { NetworkLayer } from "../../../src/security/network.ts";
import { aesSeal, sealContext } from "../../../src/security/seal.ts";

const config = readConfig({
  MASTER_KEY: Buffer.alloc(32, 1).toString("base64"),
  API_KEYS: [
    {
      kid: "bench",
      tenant: "bench",
      role: "shipper",
      secret_sha256: createHash("sha256").update("secret").digest("hex"),
    },
  ],
});

/** All layers, as the guard asks them, but that its rates never run out. */
const layers = (() => {
  const clock = { ...systemClock, nowMs: () => ticks++ };
  const none = async () => undefined;
  const directory = directoryOf({
    environment: config,
    reader: { tenant: none, key: none },
    clock,
    log: () => {},
    waitUntil: () => {},
  });
  const network = new NetworkLayer({ clock, denied: config.deniedNetworks, bodyBytesMax: () => rawBytesMax });
  const nonces = { use: async () => true };
  const keyring = derivedKeyring(Buffer.alloc(32, 1));
  return [network, gatewayLayer({ clock, directory, nonces }), applicationLayer({ directory, keyring }), dataLayer];
})();
let ticks = 0;

/** What a shipper sends beside the body, as it comes to a Worker. */
const asSent = () =>
  new Request("https://weir.example/v1/ingest/auto", {
    method: "POST",
    body: "x",
    headers: {
      Authorization: "Bearer bench.secret",
      "CF-Connecting-IP": "198.51.100.7",
      "CF-Ray": "8f1c2d3e4f5a6b7c-FRA",
      "Content-Encoding": "gzip",
      "Content-Length": "100000",
      "Content-Type": "application/octet-stream",
      "Idempotency-Key": "0123456789abcdef0123456789abcdef",
      "User-Agent": "Vector/0.50.0 (x86_64-unknown-linux-gnu)",
      "X-Forwarded-For": "198.51.100.7",
    },
  });

let raw: Request | undefined;

/** Asks every layer; answers whether they let it through. */
export async function runChainOnce(): Promise<number> {
  raw ??= asSent();
  const context: SecurityContext = { requestId: "bench", clientAddress: null, layers: [] };
  const refusal = await runChain(layers, { raw, route: "POST /v1/ingest/:format", wanted: ["ingest:write"] }, context);
  if (refusal) throw new Error(`the chain refused: ${refusal.fault}`);
  return 1;
}

const seal = aesSeal([{ version: 1, key: new Uint8Array(32) }]);

/** Seals what a batch makes a shard write: its contacts into the log, and as many bytes of snapshots in the long run. */
export function sealBatch(contacts: Uint8Array): number {
  return ["log", "state"].reduce(
    (sum, kind) => sum + seal.seal(contacts, sealContext("bench", kind, "0", "state")).length,
    0,
  );
}
