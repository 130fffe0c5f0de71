import type { Context } from "hono";
import type { Permission } from "../security/permissions.ts";
import type { BatchFailure } from "../tiers/process-batch.ts";
import type { ModelRefusal } from "../tiers/model-versions.ts";
import type { TenantRefusal } from "../tiers/tenants.ts";
import type { ConfigurationError } from "./config-body.ts";
import type { ApiEnv } from "./deps.ts";
import { securityHeaders } from "./headers.ts";
import type { partBytesMax } from "./model-upload.ts";

/** One thing that is wrong with a request. */
export type ParameterError = ({ parameter: string } | { header: string } | { pointer: string }) & { detail: string };

type JsonLimit =
  | { name: "raw" | "configuration" | keyof typeof partBytesMax; value: number; unit: "bytes" }
  | { name: "depth"; value: number; unit: "levels" };

/** Everything that can be answered instead of what was asked for. */
export type Failure =
  | BatchFailure
  | TenantRefusal
  | ModelRefusal
  | { reason: "unauthenticated" }
  | { reason: "refused" }
  | { reason: "bad_request" }
  | { reason: "too_many_requests"; retryAfterS: number }
  | { reason: "unsupported_media_type"; known: readonly string[] }
  | { reason: "forbidden"; permission: Permission | null }
  | { reason: "method_not_allowed"; allow: readonly string[] }
  | { reason: "invalid_parameters"; errors: readonly ParameterError[] }
  | { reason: "unsupported_encoding"; encoding: string; known: readonly string[] }
  | { reason: "limit_exceeded"; limit: JsonLimit }
  | { reason: "invalid_configuration"; errors: readonly ConfigurationError[] }
  | { reason: "precondition_required" }
  | { reason: "precondition_failed"; etag: string }
  | { reason: "search_too_broad"; detail: string }
  | { reason: "storage_unavailable" }
  | { reason: "keys_unavailable" }
  | { reason: "misconfigured"; setting: string; detail: string }
  | { reason: "internal" };

/** Seconds after which to try again: a shard restarts, and D1 fails over, within this. */
const retryAfterS = 2;
/** A configuration does not mend itself. */
const misconfiguredRetryAfterS = 60;

interface Problem {
  status: number;
  title: string;
  /** Members beside the standard ones. */
  more?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** The one translation from reasons to HTTP. */
export function toProblem(failure: Failure): Problem {
  switch (failure.reason) {
    case "unauthenticated":
      return { status: 401, title: "A valid API key is needed", headers: { "WWW-Authenticate": "Bearer" } };
    case "forbidden":
      return { status: 403, title: "The key may not do this", more: { permission: failure.permission } };
    case "refused":
      return { status: 403, title: "The request is refused" };
    case "bad_request":
      return { status: 400, title: "The request is not one that is answered here" };
    case "too_many_requests":
      return {
        status: 429,
        title: "There are more requests than may be",
        headers: { "Retry-After": String(failure.retryAfterS) },
      };
    case "body_too_slow":
      return { status: 408, title: "The body did not arrive in time" };
    case "unsupported_media_type":
      return { status: 415, title: "The Content-Type is not known", more: { known: failure.known } };
    case "not_found":
      return { status: 404, title: "There is no such thing" };
    case "method_not_allowed":
      return { status: 405, title: "The route has no such method", headers: { Allow: failure.allow.join(", ") } };
    case "invalid_parameters":
      return { status: 400, title: "A parameter is not valid", more: { errors: failure.errors } };
    case "corrupt_body": {
      const { encoding, detail } = failure;
      return { status: 400, title: "The body cannot be decoded", more: { encoding, detail } };
    }
    case "limit_exceeded":
      return { status: 413, title: "The body exceeds a limit", more: { limit: failure.limit } };
    case "unsupported_encoding": {
      const { encoding, known } = failure;
      return { status: 415, title: "The Content-Encoding is not known", more: { encoding, known } };
    }
    case "unknown_format": {
      const { format, known } = failure;
      return { status: 415, title: "The flow-log format is not known", more: { format, known } };
    }
    case "idempotency_conflict": {
      const { idempotency_key } = failure;
      return { status: 422, title: "The Idempotency-Key was used for another body", more: { idempotency_key } };
    }
    case "model_refused": {
      const { why, detail } = failure;
      return { status: 422, title: "The model is not taken", more: { why, detail } };
    }
    case "conflict":
      return { status: 409, title: "It is not in a state for that", more: { detail: failure.detail } };
    case "jurisdiction_unavailable": {
      const { jurisdiction, known } = failure;
      return { status: 422, title: "Nothing can be kept in that jurisdiction here", more: { jurisdiction, known } };
    }
    case "quota_exceeded": {
      const { limit, retryAfterS: afterS } = failure;
      const headers = { "Retry-After": String(afterS) };
      return { status: 429, title: "The tenant has sent more than it may", more: { limit }, headers };
    }
    case "invalid_configuration":
      return { status: 422, title: "The configuration is not valid", more: { errors: failure.errors } };
    case "precondition_required":
      return { status: 428, title: "If-Match must name the version that is replaced" };
    case "precondition_failed":
      return { status: 412, title: "Another version is in force", more: { etag: failure.etag } };
    case "overloaded":
      return later("The shard has more work than it can take");
    case "shard_unavailable":
      return later("The shard does not answer");
    case "search_too_broad":
      return { status: 422, title: "The search is too broad", more: { detail: failure.detail } };
    case "storage_unavailable":
      return later("The database does not answer");
    case "keys_unavailable":
      return later("The tenant's keys cannot be opened", misconfiguredRetryAfterS);
    case "misconfigured": {
      const { setting, detail } = failure;
      return { ...later("A setting is missing or wrong", misconfiguredRetryAfterS), more: { setting, detail } };
    }
    case "internal":
      return { status: 500, title: "Something went wrong here" };
    default:
      return failure satisfies never;
  }
}

function later(title: string, afterS = retryAfterS): Problem {
  return { status: 503, title, headers: { "Retry-After": String(afterS) } };
}

export function problemResponse(failure: Failure, requestId: string): Response {
  const { status, title, more, headers } = toProblem(failure);
  const type = `/problems/${failure.reason.replaceAll("_", "-")}`;
  const body = JSON.stringify({ type, status, title, instance: `/requests/${requestId}`, ...more });
  return new Response(body, {
    status,
    headers: {
      ...securityHeaders,
      ...headers,
      "Content-Type": "application/problem+json",
      "X-Request-Id": requestId,
    },
  });
}

/** Answers a failure, and leaves it where the guard finds what to audit. */
export function problem(c: Context<ApiEnv>, failure: Failure): Response {
  c.set("failure", failure);
  return problemResponse(failure, c.get("requestId"));
}
