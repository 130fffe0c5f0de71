import type { ResealedBlobs, ShardKeysRpc } from "../../durable-objects/shard-rpc.ts";
import type { Clock, Log } from "../config.ts";
import type { KeyProvider } from "../security/key-provider.ts";
import { KeysDestroyed, newestVersion, newKey, staleMsMax, wrapKeys, type Keyring } from "../security/keyring.ts";
import { rotatedFamilies } from "../security/tenant-keys.ts";
import type { TenantSettings } from "../security/tenant.ts";
import type { ResealedRows, SealedAnomalyStore } from "../storage/anomalies.ts";
import type { DataKeyStore, KeyOwner, StoredDataKey } from "../storage/data-keys.ts";
import type { Author } from "./api-keys.ts";
import { callShard, isShardFailure, shardsOf, type ShardFailure, type ShardRef } from "./shard-call.ts";

/** Rows of D1 that one call seals anew: 0.2 s of CPU. Of blobs each object has a bound of its own. */
const rowsMax = 500;
/** Keys that one call wraps anew: a statement each. */
const wrappedMax = 200;
/** Versions that a tenant may have at a time: each costs a request that reads keys for the first time five unwrappings. */
const versionsMax = 16;
/**
 * How old a version has to be, in ms, before those below it are removed: no isolate goes by older keys for as long as
 * this, and no request that began with them is still open.
 */
const retireAfterMs = staleMsMax + 5 * 60_000;

export interface DataKeysParts {
  clock: Clock;
  log: Log;
  keyring: Keyring;
  provider: KeyProvider;
  store: DataKeyStore;
  /** What the platform itself has sealed under the key-encryption key; answers how many values it sealed anew. */
  directory: { reseal(limit: number): Promise<number> };
  anomalies: Pick<SealedAnomalyStore, "reseal">;
  shardOf(shard: ShardRef): Pick<ShardKeysRpc, "reseal">;
}

/** How far a rotation has come. */
export interface Rotation {
  /** Of the keys that seal from now on. */
  version: number;
  rows: ResealedRows;
  blobs: Omit<ResealedBlobs, "version">;
  /** Whether nothing is left that older keys have sealed. */
  isDone: boolean;
  /** When older keys may be removed; null where there are none. */
  retireAtMs: number | null;
}

export type RotationRefusal = ShardFailure | { reason: "conflict"; detail: string };

/** Makes the tenants' keys new, and what they sealed. Every method throws StorageError and KeysDestroyed. */
export class DataKeys {
  readonly #parts: DataKeysParts;

  constructor(parts: DataKeysParts) {
    this.#parts = parts;
  }

  /** Makes the next version of each key that rotates, and begins to seal with it what is there. */
  async rotate(by: Author, tenant: TenantSettings): Promise<Rotation | RotationRefusal> {
    const { clock, store } = this.#parts;
    const stored = await this.#stored(tenant);
    const versions = new Set(stored.map((key) => key.version)).size;
    if (versions >= versionsMax) {
      const detail = `there are ${versions} versions: let a rotation come to its end, and older ones be removed`;
      return { reason: "conflict", detail };
    }
    const version = newestVersion(stored) + 1;
    const keys = rotatedFamilies.map((family) => newKey(family, version, clock.nowMs()));
    const wrapped = await wrapKeys(this.#parts.provider, keys);
    await store.add(tenant, wrapped, eventOf(by, "data_keys.rotate", { version }));
    return this.goOn(by, tenant);
  }

  /** Seals a part of what is there with the newest keys; once nothing is left, and time has passed, removes older ones. */
  async goOn(by: Author, tenant: TenantSettings): Promise<Rotation | ShardFailure> {
    const { anomalies, clock, keyring, store } = this.#parts;
    const keys = await keyring.reload(tenant);
    const version = keys.seals.state.version;
    const rows = await anomalies.reseal({ ...tenant, keys }, rowsMax);
    const blobs = await this.#resealShards(tenant, version);
    if (isShardFailure(blobs)) return blobs;
    const isDone = rows.left + blobs.left === 0;
    const stored = await this.#stored(tenant);
    const newest = stored.filter((key) => key.version === version && key.family !== "identity");
    const hasOlder = stored.some((key) => key.version < version && key.family !== "identity");
    const retireAtMs = hasOlder ? Math.max(...newest.map(({ createdAtMs }) => createdAtMs)) + retireAfterMs : null;
    const answer = { version, rows, blobs, isDone, retireAtMs };
    if (!isDone || retireAtMs === null || clock.nowMs() < retireAtMs) return answer;
    await store.retire(tenant, version, eventOf(by, "data_keys.retire", { below: version }));
    return { ...answer, retireAtMs: null };
  }

  /** Wraps keys of any tenant with the current key-encryption key; answers how many it did, and how many are left. */
  async rewrap(): Promise<{ rewrapped: number; left: number }> {
    const { directory, provider, store } = this.#parts;
    const { keys, count } = await store.wrappedByOthers(provider.currentId, wrappedMax);
    for (const key of keys) await store.rewrap(key.tenant, key, await provider.wrap(await provider.unwrap(key)));
    const values = await directory.reseal(wrappedMax);
    // Of tenants and API keys it is not known how many there are: as long as there were some, there may be more.
    return { rewrapped: keys.length + values, left: count - keys.length + values };
  }

  async #stored(owner: KeyOwner): Promise<StoredDataKey[]> {
    const stored = await this.#parts.store.read(owner);
    if (!stored) throw new KeysDestroyed(owner.id);
    return stored;
  }

  /** All of them, each a part. */
  async #resealShards(tenant: TenantSettings, version: number): Promise<Rotation["blobs"] | ShardFailure> {
    const sum = { resealed: 0, unreadable: 0, left: 0 };
    const calls = shardsOf(tenant).map((shard) => callShard(this.#parts, () => this.#parts.shardOf(shard).reseal()));
    for (const result of await Promise.all(calls)) {
      if (isShardFailure(result)) return result;
      sum.resealed += result.resealed;
      sum.unreadable += result.unreadable;
      // One that reads older keys has not begun.
      sum.left += result.version < version ? 1 : result.left;
    }
    return sum;
  }
}

function eventOf({ principal, requestId }: Author, action: string, detail: Record<string, number>) {
  return { action, actor: principal.kid, outcome: "success", detail, requestId } as const;
}
