import { validator } from "hono-openapi";
import * as v from "valibot";
import type { ApiEnv } from "./deps.ts";
import { problem, type ParameterError } from "./problem.ts";

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
