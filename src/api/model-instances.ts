import { Hono, type Context } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";
import { instanceKinds, weightMax } from "../inference/instances.ts";
import { modelNames } from "../inference/model.ts";
import { addressFault } from "../inference/remote.ts";
import type { KnownInstance } from "../tiers/model-instances.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { timeOf } from "./key-json.ts";
import { authorOf } from "./keys.ts";
import { problem } from "./problem.ts";
import {
  administrationBodyProblems as bodyProblems,
  administrationProblems as problems,
  answers,
  modelInstance,
  modelInstances,
} from "./schemas.ts";
import { jsonBody, query } from "./validate.ts";

/** Characters of an address, and of a key: longer than any that is in use. */
const urlCharsMax = 1_024;
const bearerCharsMax = 4_096;

const remoteUrl = v.pipe(
  v.string(),
  v.maxLength(urlCharsMax),
  v.rawCheck(({ dataset, addIssue }) => {
    const fault = dataset.typed && addressFault(dataset.value);
    if (fault) addIssue({ message: fault });
  }),
  v.transform((url) => url.replace(/\/+$/, "")),
);

const wish = v.pipe(
  v.strictObject({
    // It names objects, and stands in paths.
    id: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, "must match [a-z0-9][a-z0-9_-]{0,62}")),
    model: v.picklist(modelNames),
    kind: v.picklist(instanceKinds),
    url: v.optional(v.nullable(remoteUrl), null),
    weight: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(weightMax)), 1),
    bearer: v.optional(
      v.nullable(
        v.pipe(v.string(), v.maxLength(bearerCharsMax), v.regex(/^[\x21-\x7e]+$/, "must be visible ASCII characters")),
      ),
      null,
    ),
  }),
  v.forward(
    v.check(({ kind, url }) => (kind === "remote") === (url !== null), "is what a remote instance has, and no other"),
    ["url"],
  ),
  v.forward(
    v.check(({ kind, bearer }) => kind === "remote" || bearer === null, "is for a remote instance"),
    ["bearer"],
  ),
);

export function modelInstanceRoutes({ modelInstances: instances }: Pick<ApiDeps, "modelInstances">): Hono<ApiEnv> {
  const noQuery = query(v.strictObject({}));

  return new Hono<ApiEnv>()
    .get("/", describeList, noQuery, async (c) => {
      const known = await instances.list();
      return c.json({ instances: known.map((one) => instanceJson(one, c)) });
    })
    .post("/", describeRegister, noQuery, async (c) => {
      const body = await jsonBody(c, wish);
      if ("reason" in body) return problem(c, body);
      const registered = await instances.register(authorOf(c), body.value);
      return "reason" in registered ? problem(c, registered) : c.json(instanceJson(registered, c));
    })
    .delete("/:id", describeRemove, noQuery, async (c) => {
      const removed = await instances.remove(authorOf(c), c.req.param("id"));
      return "reason" in removed ? problem(c, removed) : c.json(instanceJson(removed, c));
    });
}

/** Where the operator's servers are, and what they say, is the operator's to know. */
function instanceJson({ instance, inFlight, breaker }: KnownInstance, c: Context<ApiEnv>) {
  const { id, model, kind, url, weight, health, failures, load, lastCheckMs, error, verified, bearer } = instance;
  const isOperator = c.get("principal").permissions.has("models:write");
  return {
    id,
    model,
    kind,
    url: isOperator ? url : null,
    has_bearer: bearer !== null,
    weight,
    health,
    failed_checks: failures,
    load,
    in_flight: inFlight,
    last_check_at: timeOf(lastCheckMs),
    error: isOperator ? error : null,
    verified,
    breaker: breaker && {
      name: breaker.name,
      state: breaker.state,
      failures: breaker.failures,
      probe_in_ms: breaker.probeInMs,
    },
  } satisfies v.InferInput<typeof modelInstance>;
}

const describeList = describeRoute({
  summary: "Where models run: health, load and circuit breaker of each instance",
  responses: answers(modelInstances, "All instances, in the order of their registration", problems),
});

const describeRegister = describeRoute({
  summary: "Register an instance; it is checked before it is called",
  requestBody: { content: { "application/json": { schema: resolver(wish) } } },
  responses: answers(modelInstance, "The instance after its first check", bodyProblems),
});

const describeRemove = describeRoute({
  summary: "Remove an instance: within 10 s nobody calls it",
  responses: answers(modelInstance, "The instance as it was", { ...problems, 404: "not-found" }),
});
