import { validator } from "hono-openapi";
import * as v from "valibot";
import type { ApiEnv } from "./deps.ts";
import { problem, type ParameterError } from "./problem.ts";

/** Checks the query against a schema; what is wrong with it is answered as one problem, an entry per parameter. */
export function query<Schema extends v.GenericSchema<Record<string, unknown>, unknown>>(schema: Schema) {
  return validator<Schema, "query", ApiEnv, string>("query", schema, (result, c) => {
    if (result.success) return undefined;
    const errors = result.error.map((issue): ParameterError => ({
      parameter: v.getDotPath(issue as v.BaseIssue<unknown>)?.split(".")[0] ?? "",
      detail: issue.message,
    }));
    return problem(c, { reason: "invalid_parameters", errors });
  });
}
