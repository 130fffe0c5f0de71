import { createHash, timingSafeEqual } from "node:crypto";
import type { ApiKey } from "../config.ts";
import type { Principal } from "./permissions.ts";

/** Longer than any key (kid 64, secret as long as an operator likes to type), short enough to hash without thought. */
const authorizationCharsMax = 512;

/** Compared with where the key id is unknown, so that the answer takes as long. */
const nobody: Uint8Array = new Uint8Array(32);

/** The principal of `Authorization: Bearer <kid>.<secret>`; undefined for every kind of bad key alike. */
export function authenticate(
  authorization: string | undefined,
  apiKeys: ReadonlyMap<string, ApiKey>,
): Principal | undefined {
  if (!authorization || authorization.length > authorizationCharsMax) return undefined;
  const token = /^bearer +([A-Za-z0-9_-]+)\.([\x21-\x7e]+)$/i.exec(authorization);
  if (!token) return undefined;
  const key = apiKeys.get(token[1]);
  const digest = createHash("sha256").update(token[2]).digest();
  const isEqual = timingSafeEqual(digest, key?.secretSha256 ?? nobody);
  return key && isEqual ? key : undefined;
}
