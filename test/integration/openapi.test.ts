import { describe, expect, it } from "vitest";
import { routeAccess } from "../../src/security/permissions.ts";
import { testApp } from "./harness.ts";

interface Operation {
  security?: object[];
  parameters?: { name: string; in: string; required?: boolean; schema: object }[];
  responses: Record<
    string,
    { content?: Record<string, { schema?: { properties?: object; anyOf?: { properties?: object }[] } }> }
  >;
}
interface Description {
  openapi: string;
  security: object[];
  components: { securitySchemes: object };
  paths: Record<string, Record<string, Operation>>;
}

describe("GET /openapi.json", async () => {
  const response = await testApp().app.request("/openapi.json");
  const { openapi, paths, security, components } = (await response.json()) as Description;
  const parametersOf = (operation: Operation) =>
    operation.parameters?.map((parameter) => `${parameter.in} ${parameter.name}`);

  it("describes every route and no other", () => {
    expect(openapi).toBe("3.1.0");
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ":$1")}`),
    );
    expect(described.toSorted()).toEqual([...routeAccess.keys()].toSorted());
  });

  it("says which routes need a key", () => {
    expect(security).toEqual([{ key: [] }]);
    expect(components.securitySchemes).toHaveProperty("key");
    expect(paths["/healthz"].get.security).toEqual([]);
    expect(paths["/v1/anomalies"].get.security).toBeUndefined();
  });

  it("has the parameters and the fields", () => {
    const list = paths["/v1/anomalies"].get;
    const names = ["threat", "severity", "entity", "peer", "since", "until", "after", "limit", "as", "cursor"];
    expect(parametersOf(list)).toEqual(names.map((name) => `query ${name}`));
    const [clear, sealed] = list.responses[200].content!["application/json"].schema!.anyOf!;
    expect(clear.properties).toHaveProperty("anomalies");
    expect(JSON.stringify(sealed)).toContain("encryption_metadata");
    const ingest = paths["/v1/ingest/{format}"].post;
    expect(parametersOf(ingest)).toEqual(["query fields", "query sampling_rate", "path format"]);
    expect(ingest.responses[200].content!["application/json"].schema!.properties).toHaveProperty("duplicate");
    expect(Object.keys(ingest.responses)).toEqual(["200", "400", "401", "403", "413", "415", "422", "429", "503"]);
    expect(ingest.responses[400].content).toHaveProperty(["application/problem+json"]);
    expect(parametersOf(paths["/v1/anomalies/{id}"].get)).toEqual(["query as", "path id"]);
  });
});
