import { createHash } from "node:crypto";
import type { Clock, Log } from "../config.ts";
import { settingsIn, unconfigured, type Choice, type Configuration } from "../core/detectors/configuration.ts";
import { allDetectors } from "../core/detectors/index.ts";
import type { TenantSettings } from "../security/tenant.ts";
import type { Author, ConfigurationStore, StoredConfiguration } from "../storage/configurations.ts";

/** How long an isolate goes by what it read, in ms: with the time a batch takes, a change is in force within 10 s. */
const freshMs = 5_000;
/** How long a batch waits for D1, in ms; after that it goes by what was known before. */
const waitMsMax = 500;
/** Tenants that an isolate remembers, a few KiB each: those asked for last. */
const tenantsMax = 1_000;
/** Versions that are listed. */
const listedMax = 100;

export interface ConfigurationsParts {
  clock: Clock;
  log: Log;
  store: ConfigurationStore;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
}

/** What processing needs of them. */
export interface ConfigurationsInForce {
  /** Never rejects. */
  inForce(tenant: TenantSettings): Promise<Configuration>;
}

interface Known {
  configuration: Configuration;
  /** When it was asked for. */
  askedAtMs: number;
}

/**
 * What each tenant's slots judge by: the newest choice in D1, remembered for seconds. While D1 cannot be read, what was
 * known last stays in force, else the defaults; a shard that has heard of something newer keeps that.
 */
export class Configurations implements ConfigurationsInForce {
  readonly #parts: ConfigurationsParts;
  readonly #known = new Map<string, Known>();

  constructor(parts: ConfigurationsParts) {
    this.#parts = parts;
  }

  /** At most `freshMs` old where D1 answers in time. Requests ask for themselves: none can wait for another one's I/O. */
  async inForce(tenant: TenantSettings): Promise<Configuration> {
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const known = this.#known.get(tenant.id);
    if (known && nowMs >= known.askedAtMs && nowMs < known.askedAtMs + freshMs) return known.configuration;
    const reading = this.#read(tenant, nowMs);
    this.#parts.waitUntil(reading);
    const waiting = clock.wait(waitMsMax).then(() => this.#keep(tenant, this.#lastKnown(tenant), nowMs));
    return Promise.race([reading, waiting]);
  }

  /** As D1 has it; undefined where nothing was ever chosen. @throws StorageError */
  async latest(tenant: TenantSettings): Promise<StoredConfiguration | undefined> {
    const nowMs = this.#parts.clock.nowMs();
    const [stored] = await this.#parts.store.list(tenant.id, 1);
    if (stored) this.#keep(tenant, namedConfiguration(tenant, stored), nowMs);
    return stored;
  }

  /** Newest first. @throws StorageError */
  versions(tenant: TenantSettings): Promise<StoredConfiguration[]> {
    return this.#parts.store.list(tenant.id, listedMax);
  }

  /** Puts a choice in the place of `version`; undefined where that is not the latest. @throws StorageError */
  async replace(
    tenant: TenantSettings,
    version: number,
    choice: Choice,
    author: Author,
  ): Promise<StoredConfiguration | undefined> {
    const nowMs = this.#parts.clock.nowMs();
    const stored = await this.#parts.store.add(tenant.id, version, choice, author);
    if (stored) this.#keep(tenant, namedConfiguration(tenant, stored), nowMs);
    return stored;
  }

  async #read(tenant: TenantSettings, nowMs: number): Promise<Configuration> {
    try {
      const [stored] = await this.#parts.store.list(tenant.id, 1);
      return this.#keep(tenant, namedConfiguration(tenant, stored ?? unconfigured), nowMs);
    } catch (error) {
      this.#parts.log({
        level: "warn",
        message: "configuration not read: the last known stays in force",
        tenant: tenant.id,
        error: (error as Error).message,
      });
      return this.#keep(tenant, this.#lastKnown(tenant), nowMs);
    }
  }

  /** Remembers it unless something newer is known. */
  #keep({ id }: TenantSettings, configuration: Configuration, askedAtMs: number): Configuration {
    const known = this.#known.get(id);
    const newer = known && known.configuration.version > configuration.version ? known.configuration : configuration;
    this.#known.delete(id);
    this.#known.set(id, { configuration: newer, askedAtMs: Math.max(askedAtMs, known?.askedAtMs ?? 0) });
    if (this.#known.size > tenantsMax) this.#known.delete([...this.#known.keys()][0]);
    return newer;
  }

  #lastKnown(tenant: TenantSettings): Configuration {
    return this.#known.get(tenant.id)?.configuration ?? namedConfiguration(tenant, unconfigured);
  }
}

/**
 * A choice with the name that verdicts give it: `<version>-<16 hex digits>`. The digits are a digest of the tenant's
 * networks, the allowance and every threshold in force, so they are the same exactly where all of these are.
 */
export function namedConfiguration(
  { settingsDigest }: TenantSettings,
  { version, preset, thresholds }: Choice & { version: number },
): Configuration {
  const settings = allDetectors.map((detector) => [detector.id, settingsIn(detector, { preset, thresholds })]);
  const digest = createHash("sha256")
    .update(JSON.stringify([settingsDigest, settings]))
    .digest("hex");
  return { version, name: `${version}-${digest.slice(0, 16)}`, preset, thresholds };
}
