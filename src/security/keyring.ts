import { randomBytes } from "node:crypto";
import type { Clock, Log } from "../config.ts";
import type { DataKeyStore, KeyOwner, StoredDataKey } from "../storage/data-keys.ts";
import type { KeyProvider } from "./key-provider.ts";
import type { DataKey } from "./seal.ts";
import {
  identityBytes,
  keysFrom,
  rotatedFamilies,
  tenantKeys,
  type KeyFamily,
  type TenantKeys,
} from "./tenant-keys.ts";

/** How long an isolate goes by what it read, in ms: so much later rotation and destruction have taken hold. */
const freshMs = 10_000;
/** How long a request waits for D1, in ms, where keys are known from before. */
const waitMsMax = 500;
/** How long an isolate that cannot read goes on with what it knows, in ms. No key is retired sooner after a newer one. */
export const staleMsMax = 5 * 60_000;
/** How long after a failure D1 is asked again, in ms: an outage costs one request in a while its wait. */
const againMs = 2_000;
/** Tenants that an isolate remembers, a few KiB each: those asked for last. */
const tenantsMax = 1_000;

/** The keys of tenants. */
export interface Keyring {
  /** Those that were in force at most `staleMsMax` ago. @throws StorageError, KeyProviderError, KeysDestroyed */
  of(owner: KeyOwner): Promise<TenantKeys>;
  /** As D1 has them now. @throws likewise */
  reload(owner: KeyOwner): Promise<TenantKeys>;
}

/** The tenant's keys were destroyed: what they sealed is gone. */
export class KeysDestroyed extends Error {
  override readonly name = "KeysDestroyed";

  constructor(tenant: string) {
    super(`the keys of ${tenant} were destroyed`);
  }
}

/** Keys that follow from a master key, for what has no database. */
export function derivedKeyring(masterKey: Uint8Array): Keyring {
  const known = new Map<string, TenantKeys>();
  const of = async ({ id }: KeyOwner) => {
    const keys = known.get(id) ?? tenantKeys(masterKey, id);
    known.set(id, keys);
    return keys;
  };
  return { of, reload: of };
}

export interface DataKeyringParts {
  clock: Clock;
  log: Log;
  provider: KeyProvider;
  store: DataKeyStore;
}

interface Known {
  keys: TenantKeys;
  /** What they were made from; a key that has been unwrapped is not unwrapped again. */
  unwrapped: readonly Unwrapped[];
  readAtMs: number;
  /** When D1 is asked again. */
  askAtMs: number;
}

interface Unwrapped {
  stored: StoredDataKey;
  key: Uint8Array;
}

/**
 * The keys in D1, unwrapped and remembered by the isolate; made where a tenant has none. While D1 cannot be read, what
 * is known stays good for a while: a tenant whose keys nobody knows cannot be served.
 */
export class DataKeyring implements Keyring {
  readonly #parts: DataKeyringParts;
  readonly #known = new Map<string, Known>();

  constructor(parts: DataKeyringParts) {
    this.#parts = parts;
  }

  /** Requests ask for themselves: none can wait for another one's I/O. */
  async of(owner: KeyOwner): Promise<TenantKeys> {
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const known = this.#known.get(owner.id);
    if (!known || nowMs > known.readAtMs + staleMsMax || nowMs < known.readAtMs) return this.reload(owner);
    if (nowMs < known.askAtMs) return known.keys;
    let isOver = false;
    const reading = this.reload(owner)
      .catch((error: Error) => {
        if (error instanceof KeysDestroyed) throw error;
        this.#putOff(owner, error.message);
        return known.keys;
      })
      .finally(() => (isOver = true));
    const waiting = clock.wait(waitMsMax).then(() => {
      if (!isOver) this.#putOff(owner, "no answer in time");
      return known.keys;
    });
    return Promise.race([reading, waiting]);
  }

  async reload(owner: KeyOwner): Promise<TenantKeys> {
    const readAtMs = this.#parts.clock.nowMs();
    let stored = await this.#parts.store.read(owner);
    const missing = stored && missingKeys(stored, readAtMs);
    if (missing && missing.length > 0)
      stored = await this.#parts.store.add(owner, await wrapKeys(this.#parts.provider, missing));
    if (!stored) {
      this.#known.delete(owner.id);
      throw new KeysDestroyed(owner.id);
    }
    return this.#keep(owner, stored, readAtMs);
  }

  async #keep({ id }: KeyOwner, stored: readonly StoredDataKey[], readAtMs: number): Promise<TenantKeys> {
    const before = this.#known.get(id);
    const unwrapped = await Promise.all(stored.map((one) => this.#unwrapped(one, before?.unwrapped ?? [])));
    const isSame =
      before?.unwrapped.length === unwrapped.length && unwrapped.every((one) => before.unwrapped.includes(one));
    const keys = isSame ? before.keys : keysFrom((family) => ofFamily(unwrapped, family));
    this.#known.delete(id);
    this.#known.set(id, { keys, unwrapped, readAtMs, askAtMs: readAtMs + freshMs });
    if (this.#known.size > tenantsMax) this.#known.delete([...this.#known.keys()][0]);
    return keys;
  }

  async #unwrapped(stored: StoredDataKey, before: readonly Unwrapped[]): Promise<Unwrapped> {
    const same = before.find((one) => isSameWrapping(one.stored, stored));
    return same ?? { stored, key: await this.#parts.provider.unwrap(stored) };
  }

  #putOff({ id }: KeyOwner, error: string): void {
    const known = this.#known.get(id);
    if (known) known.askAtMs = this.#parts.clock.nowMs() + againMs;
    this.#parts.log({ level: "warn", message: "keys not read: those known stay in use", tenant: id, error });
  }
}

/** A key that nobody has used yet. */
interface NewKey extends DataKey {
  readonly family: KeyFamily;
  readonly createdAtMs: number;
}

export function newKey(family: KeyFamily, version: number, createdAtMs: number): NewKey {
  return { family, version, createdAtMs, key: randomBytes(family === "identity" ? identityBytes : 32) };
}

export function wrapKeys(provider: KeyProvider, keys: readonly NewKey[]): Promise<StoredDataKey[]> {
  return Promise.all(keys.map(async ({ key, ...rest }) => ({ ...rest, ...(await provider.wrap(key)) })));
}

/** The version that is in use, or comes to be. */
export function newestVersion(stored: readonly StoredDataKey[]): number {
  const rotated: readonly string[] = rotatedFamilies;
  return Math.max(1, ...stored.filter(({ family }) => rotated.includes(family)).map(({ version }) => version));
}

/** Of families that are new, to the tenant or to Weir. */
function missingKeys(stored: readonly StoredDataKey[], nowMs: number): NewKey[] {
  const version = newestVersion(stored);
  const has = (family: KeyFamily) => stored.some((one) => one.family === family);
  const missing = rotatedFamilies.filter((family) => !has(family)).map((family) => newKey(family, version, nowMs));
  return has("identity") ? missing : [...missing, newKey("identity", 1, nowMs)];
}

function ofFamily(unwrapped: readonly Unwrapped[], family: KeyFamily): DataKey[] {
  const ofIt = unwrapped.filter(({ stored }) => stored.family === family);
  return ofIt.map(({ stored, key }) => ({ version: stored.version, key }));
}

function isSameWrapping(a: StoredDataKey, b: StoredDataKey): boolean {
  return (
    a.family === b.family && a.version === b.version && a.kekId === b.kekId && Buffer.compare(a.bytes, b.bytes) === 0
  );
}
