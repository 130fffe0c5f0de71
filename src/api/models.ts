import { Hono, type Context } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";
import { modelNames, type ModelName } from "../inference/model.ts";
import type { PointerChange } from "../inference/pointers.ts";
import type { KnownModels } from "../tiers/model-versions.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { etagOf, versionOf } from "./etag.ts";
import { authorOf } from "./keys.ts";
import { modelJson, versionJson } from "./model-json.ts";
import { uploadedPackage, uploadSchema } from "./model-upload.ts";
import { problem } from "./problem.ts";
import {
  administrationBodyProblems as bodyProblems,
  administrationProblems as problems,
  answers,
  knownModel,
  knownModels,
  modelVersion,
  modelVersionWithCard,
} from "./schemas.ts";
import { jsonBody, query } from "./validate.ts";

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "must be 64 hex digits"));
const promotion = v.strictObject({ sha256 });
const shadowing = v.strictObject({ sha256: v.nullable(sha256) });
const nothing = v.strictObject({});

export function modelRoutes({ modelVersions }: Pick<ApiDeps, "modelVersions">): Hono<ApiEnv> {
  const noQuery = query(nothing);

  /** What all tenants together let see is the operator's, and so is who uploaded. */
  const observedFor = (c: Context<ApiEnv>) => (isOperator(c) ? modelVersions.observed() : undefined);

  async function answer(c: Context<ApiEnv>, { revision, models }: KnownModels, only?: ModelName): Promise<Response> {
    const observed = await observedFor(c);
    const shown = models.map((model) => modelJson(model, observed));
    const headers = { ETag: etagOf(revision) };
    return only
      ? c.json(
          shown.find(({ name }) => name === only)!,
          200,
          headers,
        )
      : c.json({ revision, models: shown }, 200, headers);
  }

  /** One of the three changes, of a model as the path names it. */
  async function point<Schema extends v.GenericSchema>(
    c: Context<ApiEnv>,
    schema: Schema,
    changeIn: (body: v.InferOutput<Schema>) => PointerChange,
  ): Promise<Response> {
    const ifMatch = c.req.header("If-Match");
    if (ifMatch === undefined) return problem(c, { reason: "precondition_required" });
    const name = modelNames.find((one) => one === c.req.param("name"));
    if (!name) return problem(c, { reason: "not_found" });
    const body = await jsonBody(c, schema);
    if ("reason" in body) return problem(c, body);
    const revision = versionOf(ifMatch) ?? -1;
    const changed = await modelVersions.point(authorOf(c), name, revision, changeIn(body.value));
    return "reason" in changed ? problem(c, changed) : answer(c, changed, name);
  }

  return new Hono<ApiEnv>()
    .get("/", describeList, noQuery, async (c) => answer(c, await modelVersions.list()))
    .get("/:name/versions/:sha256", describeVersion, noQuery, async (c) => {
      const name = modelNames.find((one) => one === c.req.param("name"));
      const found = name && (await modelVersions.version(name, c.req.param("sha256")));
      if (!found) return problem(c, { reason: "not_found" });
      return c.json({ ...versionJson(found, isOperator(c)), card: found.card });
    })
    .post("/", describeUpload, noQuery, async (c) => {
      const given = await uploadedPackage(c);
      if ("reason" in given) return problem(c, given);
      const version = await modelVersions.upload(authorOf(c), given.package);
      return "reason" in version ? problem(c, version) : c.json(versionJson(version, true));
    })
    .post("/:name/promote", describePromote, noQuery, (c) =>
      point(c, promotion, (body) => ({ to: "promote", version: body.sha256 })),
    )
    .post("/:name/rollback", describeRollback, noQuery, (c) => point(c, nothing, () => ({ to: "rollback" })))
    .post("/:name/shadow", describeShadow, noQuery, (c) =>
      point(c, shadowing, (body) => ({ to: "shadow", version: body.sha256 })),
    );
}

function isOperator(c: Context<ApiEnv>): boolean {
  return c.get("principal").permissions.has("models:write");
}

const describeList = describeRoute({
  summary: "All models: their versions, which is in force, what drifts",
  responses: answers(knownModels, "The models, with the revision of the registry as ETag", problems),
});

const describeVersion = describeRoute({
  summary: "One version of a model, with its card",
  responses: answers(modelVersionWithCard, "The version", { ...problems, 404: "not-found" }),
});

const describeUpload = describeRoute({
  summary: "Upload a version; nothing comes into force by that",
  requestBody: { content: { "multipart/form-data": { schema: uploadSchema } } },
  responses: answers(modelVersion, "The version, which passed its trial", {
    ...bodyProblems,
    400: "invalid-parameters, corrupt-body",
    422: "model-refused",
  }),
});

const parameters = [{ in: "header" as const, name: "If-Match", required: true, schema: { type: "string" as const } }];
const pointProblems = {
  ...bodyProblems,
  404: "not-found",
  412: "precondition-failed",
  428: "precondition-required",
};

const describePromote = describeRoute({
  summary: "Put a version in force, everywhere within 10 s",
  parameters,
  requestBody: { content: { "application/json": { schema: resolver(promotion) } } },
  responses: answers(knownModel, "The model as it is now", pointProblems),
});

const describeRollback = describeRoute({
  summary: "Put the version back in force that was before",
  parameters,
  responses: answers(knownModel, "The model as it is now", pointProblems),
});

const describeShadow = describeRoute({
  summary: "Have a version score beside the one in force, without effect; null ends it",
  parameters,
  requestBody: { content: { "application/json": { schema: resolver(shadowing) } } },
  responses: answers(knownModel, "The model as it is now", pointProblems),
});
