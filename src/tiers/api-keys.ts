import type { D1PreparedStatement } from "@cloudflare/workers-types";
import type { Clock } from "../config.ts";
import { newKid, newSecret, secretDigest, signingKeyOf, type ApiKey } from "../security/api-key.ts";
import type { Audit, AuditDetail } from "../security/audit.ts";
import type { Directory } from "../security/directory.ts";
import {
  roles,
  viewOf,
  views,
  type Permission,
  type Principal,
  type Role,
  type View,
} from "../security/permissions.ts";
import type { D1Directory, StoredKey } from "../storage/d1-directory.ts";

/** Keys of one tenant in D1, a row of 300 bytes each. */
const keysMax = 1_000;

/** Who changes something, in which request. */
export interface Author {
  principal: Principal;
  requestId: string;
}

/** A key that somebody wants. Times are ms since 1970. */
export interface KeyWish {
  role: Role;
  /** Only some of the role's. */
  permissions?: readonly Permission[] | undefined;
  /** Narrower than the role's. */
  view?: View | undefined;
  label: string;
  notBeforeMs: number | null;
  expiresAtMs: number | null;
  /** Whether it can sign requests. */
  isForSigning: boolean;
}

/** A key with what its holder sends: `kid.secret`, told once. */
export interface NewKey {
  key: StoredKey;
  bearer: string;
}

export type KeyRefusal =
  | { reason: "not_found" }
  | { reason: "forbidden"; permission: Permission }
  | { reason: "invalid_parameters"; errors: readonly { pointer: string; detail: string }[] }
  | { reason: "conflict"; detail: string };

export interface ApiKeysParts {
  /** Of the environment, by key id: they cannot be changed. */
  environment: ReadonlyMap<string, ApiKey>;
  directory: Directory;
  store: D1Directory;
  audit: Audit;
  clock: Clock;
}

/** The keys of tenants: made, listed, rotated and revoked. Every method throws StorageError. */
export class ApiKeys {
  readonly #parts: ApiKeysParts;

  constructor(parts: ApiKeysParts) {
    this.#parts = parts;
  }

  /** Those of the environment first, then the oldest. */
  async list(tenant: string): Promise<{ environment: ApiKey[]; stored: StoredKey[] }> {
    const environment = [...this.#parts.environment.values()].filter((key) => key.tenant === tenant);
    return { environment, stored: await this.#parts.store.keys(tenant) };
  }

  /** No key makes one that may do or see more than itself. */
  async create(by: Author, wish: KeyWish): Promise<NewKey | KeyRefusal> {
    const { clock, store } = this.#parts;
    const { principal } = by;
    const refusal = refusalOf(wish, principal);
    if (refusal) return refusal;
    const made = keyOf(wish, { tenant: principal.tenant, createdBy: principal.kid, nowMs: clock.nowMs() });
    const { kid, role, view } = made.key;
    const stored = await this.#change(by, "keys.create", { kid, role, view }, store.createKey(made.key, keysMax));
    if (stored && isSame(stored, made.key)) return made;
    return { reason: "conflict", detail: `a tenant has at most ${keysMax} keys` };
  }

  /** Another key that does the same; the old one is good for `graceMs` more. */
  async rotate(by: Author, kid: string, graceMs: number): Promise<(NewKey & { graceUntilMs: number }) | KeyRefusal> {
    const { clock, store } = this.#parts;
    const { principal } = by;
    const old = await this.#find(principal.tenant, kid);
    if ("reason" in old) return old;
    const missing = missingTo(principal, old.permissions, old.view);
    if (missing) return { reason: "forbidden", permission: missing };
    const nowMs = clock.nowMs();
    const why = whyNotRotated(old, nowMs);
    if (why) return { reason: "conflict", detail: why };
    const graceUntilMs = Math.min(nowMs + graceMs, old.expiresAtMs ?? Number.POSITIVE_INFINITY);
    const next = keyOf(wishLike(old, nowMs), { tenant: old.tenant, createdBy: principal.kid, nowMs });
    const detail = { kid, next: next.key.kid, grace_until: graceUntilMs };
    const stored = await this.#change(by, "keys.rotate", detail, store.rotateKey(kid, graceUntilMs, next.key));
    if (stored && isSame(stored, next.key)) return { ...next, graceUntilMs };
    return { reason: "conflict", detail: "it was rotated or revoked meanwhile" };
  }

  /** At once, but for what isolates remember for seconds. A key that was revoked stays so. */
  async revoke(by: Author, kid: string): Promise<StoredKey | KeyRefusal> {
    const { clock, environment, store } = this.#parts;
    const { tenant } = by.principal;
    const key = await this.#find(tenant, kid);
    if ("reason" in key) return key;
    if (key.revokedAtMs !== null) return key;
    const hasAdmin = [...environment.values()].some((one) => one.tenant === tenant && one.role === "admin");
    const needsAdmin = key.role === "admin" && !hasAdmin;
    const stored = await this.#change(by, "keys.revoke", { kid }, store.revokeKey(key, clock.nowMs(), needsAdmin));
    if (stored?.revokedAtMs != null) return stored;
    return { reason: "conflict", detail: "it is the last key of an admin: make another one first" };
  }

  async #find(tenant: string, kid: string): Promise<StoredKey | KeyRefusal> {
    const { environment, store } = this.#parts;
    if (environment.get(kid)?.tenant === tenant)
      return { reason: "conflict", detail: "it is a key of the environment: change API_KEYS" };
    const key = await store.storedKey(kid);
    return key?.tenant === tenant ? key : { reason: "not_found" };
  }

  async #change({ principal, requestId }: Author, action: string, detail: AuditDetail, change: D1PreparedStatement[]) {
    const { audit, directory, store } = this.#parts;
    const event = { action, actor: principal.kid, outcome: "success", detail, requestId } as const;
    try {
      return store.keyIn(await audit.withChange(principal.tenant, event, () => change));
    } finally {
      directory.changed();
    }
  }
}

function refusalOf(
  { role, permissions, view, notBeforeMs, expiresAtMs }: KeyWish,
  by: Principal,
): KeyRefusal | undefined {
  const errors: { pointer: string; detail: string }[] = [];
  const surplus = permissions?.find((permission) => !roles[role].includes(permission));
  if (surplus) errors.push({ pointer: "/permissions", detail: `the role ${role} does not have ${surplus}` });
  if (expiresAtMs !== null && expiresAtMs <= (notBeforeMs ?? 0))
    errors.push({ pointer: "/expires_at", detail: "must be later than not_before" });
  if (view && isWider(view, viewOf[role]))
    errors.push({ pointer: "/view", detail: `must not be wider than ${viewOf[role]}, that of the role` });
  if (errors.length > 0) return { reason: "invalid_parameters", errors };
  const missing = missingTo(by, new Set(permissions ?? roles[role]), view ?? viewOf[role]);
  return missing && { reason: "forbidden", permission: missing };
}

/** What somebody lacks of what a key could do, and of what it could see. */
function missingTo(by: Principal, wanted: ReadonlySet<Permission>, view: View): Permission | undefined {
  const missing = [...wanted].find((permission) => !by.permissions.has(permission));
  if (missing) return missing;
  return wanted.has("anomalies:read") && isWider(view, by.view) ? "anomalies:read" : undefined;
}

function isWider(view: View, than: View): boolean {
  return views.indexOf(view) < views.indexOf(than);
}

/** A key as wished, of which nobody knows yet. */
export function keyOf(wish: KeyWish, of: { tenant: string; createdBy: string; nowMs: number }): NewKey {
  const { role, permissions, view, label, notBeforeMs, expiresAtMs, isForSigning } = wish;
  const [kid, secret] = [newKid(), newSecret()];
  const key: StoredKey = {
    kid,
    tenant: of.tenant,
    role,
    permissions: new Set(permissions ?? roles[role]),
    isScoped: permissions !== undefined,
    view: view ?? viewOf[role],
    label,
    secretSha256: secretDigest(secret),
    signingKey: isForSigning ? signingKeyOf(secret) : null,
    notBeforeMs,
    expiresAtMs,
    revokedAtMs: null,
    graceUntilMs: null,
    replacedBy: null,
    createdAtMs: of.nowMs,
    createdBy: of.createdBy,
  };
  return { key, bearer: `${kid}.${secret}` };
}

/** The same again: from now on, and for as long as the old one was meant to live. */
function wishLike(old: StoredKey, nowMs: number): KeyWish {
  const { role, permissions, isScoped, view, label, notBeforeMs, expiresAtMs, createdAtMs, signingKey } = old;
  const livesMs = expiresAtMs === null ? null : expiresAtMs - (notBeforeMs ?? createdAtMs);
  return {
    role,
    permissions: isScoped ? [...permissions] : undefined,
    view,
    label,
    notBeforeMs: null,
    expiresAtMs: livesMs === null ? null : nowMs + livesMs,
    isForSigning: signingKey !== null,
  };
}

function whyNotRotated({ revokedAtMs, replacedBy, expiresAtMs }: StoredKey, nowMs: number): string | undefined {
  if (revokedAtMs !== null) return "it was revoked";
  if (replacedBy !== null) return `it was rotated to ${replacedBy}`;
  return expiresAtMs !== null && expiresAtMs <= nowMs ? "it has expired" : undefined;
}

function isSame(a: StoredKey, b: StoredKey): boolean {
  return Buffer.compare(a.secretSha256, b.secretSha256) === 0;
}
