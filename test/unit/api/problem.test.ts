import { describe, expect, it } from "vitest";
import reference from "../../../docs/api.md?raw";
import { problemResponse, toProblem, type Failure } from "../../../src/api/problem.ts";

/** One of each; a new reason does not compile until it is here. */
const examples: { [Reason in Failure["reason"]]: Extract<Failure, { reason: Reason }> } = {
  unauthenticated: { reason: "unauthenticated" },
  forbidden: { reason: "forbidden", permission: "ingest:write" },
  refused: { reason: "refused" },
  bad_request: { reason: "bad_request" },
  too_many_requests: { reason: "too_many_requests", retryAfterS: 2 },
  body_too_slow: { reason: "body_too_slow" },
  unsupported_media_type: { reason: "unsupported_media_type", known: ["application/json"] },
  not_found: { reason: "not_found" },
  method_not_allowed: { reason: "method_not_allowed", allow: ["GET", "HEAD"] },
  invalid_parameters: { reason: "invalid_parameters", errors: [{ parameter: "limit", detail: "must be 1 to 500" }] },
  corrupt_body: { reason: "corrupt_body", encoding: "gzip", detail: "unexpected end of file" },
  limit_exceeded: { reason: "limit_exceeded", limit: { name: "raw", value: 1, unit: "bytes" } },
  unsupported_encoding: { reason: "unsupported_encoding", encoding: "br", known: ["gzip"] },
  unknown_format: { reason: "unknown_format", format: "pcap", known: ["aws-vpc"] },
  idempotency_conflict: { reason: "idempotency_conflict", idempotency_key: "a" },
  model_refused: { reason: "model_refused", why: "opset", detail: "ai.onnx 25 is not taken: at most 21" },
  conflict: { reason: "conflict", detail: "it was revoked" },
  jurisdiction_unavailable: { reason: "jurisdiction_unavailable", jurisdiction: "eu", known: [] },
  quota_exceeded: {
    reason: "quota_exceeded",
    limit: { name: "flows_per_second", value: 1, unit: "records/s" },
    retryAfterS: 3,
  },
  invalid_configuration: {
    reason: "invalid_configuration",
    errors: [{ pointer: "/preset", detail: "must be one of" }],
  },
  precondition_required: { reason: "precondition_required" },
  precondition_failed: { reason: "precondition_failed", etag: '"3"' },
  overloaded: { reason: "overloaded" },
  shard_unavailable: { reason: "shard_unavailable" },
  search_too_broad: { reason: "search_too_broad", detail: "narrow it" },
  keys_unavailable: { reason: "keys_unavailable" },
  storage_unavailable: { reason: "storage_unavailable" },
  misconfigured: { reason: "misconfigured", setting: "MASTER_KEY", detail: "must be set" },
  internal: { reason: "internal" },
};
const failures = Object.values(examples);

describe.each(failures)("the problem $reason", (failure) => {
  const { status, title } = toProblem(failure);

  it("is RFC 9457", async () => {
    const response = problemResponse(failure, "r1");
    const { reason, ...rest } = failure;
    const { retryAfterS: _, ...more } = { retryAfterS: 0, ...rest };
    expect(response.status).toBe(status);
    expect(response.headers.get("Content-Type")).toBe("application/problem+json");
    const type = `/problems/${reason.replaceAll("_", "-")}`;
    const members = reason === "method_not_allowed" ? {} : more;
    expect(await response.json()).toEqual({ type, status, title, instance: "/requests/r1", ...members });
  });

  it("says when to come back, if that helps", () => {
    const wait = problemResponse(failure, "r1").headers.get("Retry-After");
    expect(wait !== null && Number(wait) > 0).toBe(status === 503 || status === 429);
  });

  it("stands in docs/api.md with its status", () => {
    const section = new RegExp(`^### ${failure.reason.replaceAll("_", "-")}\n\n${status}[,. ]`, "m");
    expect(reference).toMatch(section);
  });
});

it("docs/api.md explains no problem that does not exist", () => {
  const sections = [...reference.matchAll(/^### ([a-z-]+)$/gm)].map(([, name]) => name.replaceAll("-", "_"));
  expect(sections.toSorted()).toEqual(Object.keys(examples).toSorted());
});
