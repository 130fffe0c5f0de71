import type { Context } from "hono";
import { validator } from "hono-openapi";
import * as v from "valibot";
import type { ApiEnv } from "./deps.ts";
import { jsonText } from "./json-body.ts";
import { problem, type Failure, type ParameterError } from "./problem.ts";

/** Checks the query against a schema; what is wrong with it is answered as one problem, an entry per parameter. */
export function query<Schema extends v.GenericSchema<Record<string, unknown>, unknown>>(schema: Schema) {
  return validator<Schema, "query", ApiEnv, string>("query", schema, (result, c) => {
    if (result.success) return undefined;
    const errors = result.error.map((issue) => errorOf(issue as v.BaseIssue<unknown>));
    return problem(c, { reason: "invalid_parameters", errors });
  });
}

function errorOf({ type, expected, path, message }: v.BaseIssue<unknown>): ParameterError {
  const key = path?.[0].key;
  const parameter = typeof key === "string" ? key : "";
  const isUnknown = type === "strict_object" && expected === "never";
  return { parameter, detail: isUnknown ? `there is no parameter ${parameter}` : message };
}

/** A JSON body that fits a schema; no body is an empty object. What is wrong with it is listed by JSON pointers. */
export async function jsonBody<Schema extends v.GenericSchema>(
  c: Context<ApiEnv>,
  schema: Schema,
): Promise<{ value: v.InferOutput<Schema> } | Failure> {
  const body = await jsonText(c);
  if ("reason" in body) return body;
  const invalid = (errors: ParameterError[]) => ({ reason: "invalid_parameters", errors }) as const;
  let given: unknown;
  try {
    given = JSON.parse(body.text || "{}");
  } catch {
    return invalid([{ pointer: "", detail: "is not JSON" }]);
  }
  const result = v.safeParse(schema, given);
  return result.success ? { value: result.output } : invalid(result.issues.map(pointed));
}

function pointed({ type, expected, path, message }: v.BaseIssue<unknown>): ParameterError {
  const keys = (path ?? []).map(({ key }) => String(key).replaceAll("~", "~0").replaceAll("/", "~1"));
  const isUnknown = type === "strict_object" && expected === "never";
  return { pointer: keys.map((key) => `/${key}`).join(""), detail: isUnknown ? "there is no such member" : message };
}
