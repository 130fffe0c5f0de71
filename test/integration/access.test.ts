import { describe, expect, it } from "vitest";
import { routeAccess } from "../../src/security/permissions.ts";
import { auth, config, testApp } from "./harness.ts";

/** Every route of the app, with its parameters filled in. */
function routesOf(app: ReturnType<typeof testApp>["app"]) {
  const routes = app.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${path}`);
  return [...new Set(routes)].map((route) => {
    const [method, path] = route.split(" ");
    const access = routeAccess.get(route);
    return { route, access, method, path: path.replace(":format", "aws-vpc").replace(":id", "0".repeat(32)) };
  });
}

describe("every route", () => {
  const { app } = testApp();
  const routes = routesOf(app);

  it("is in the table of permissions, and the table has no other", () => {
    expect(routes.map(({ route }) => route).toSorted()).toEqual([...routeAccess.keys()].toSorted());
    expect(routes.length).toBeGreaterThanOrEqual(6);
  });

  it("is public only if it says nothing of a tenant", () => {
    const open = [...routeAccess].filter(([, access]) => access === "public").map(([route]) => route);
    expect(open).toEqual(["GET /healthz", "GET /openapi.json"]);
  });

  it.each(routes.filter(({ access }) => access === "public"))("$route: anyone", async ({ method, path }) => {
    expect((await app.request(path, { method })).status).toBe(200);
  });

  it.each(routes.filter(({ access }) => access !== "public"))(
    "$route: nobody without a good key",
    async ({ method, path }) => {
      for (const headers of [{}, { Authorization: "Bearer nobody.secret" }, { Authorization: "Bearer admin.wrong" }]) {
        const response = await app.request(path, { method, headers });
        expect(response.status).toBe(401);
        expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
        expect(await response.json()).toMatchObject({ type: "/problems/unauthenticated" });
      }
    },
  );

  it.each(routes.filter(({ access }) => access !== "public"))(
    "$route: only keys with $access",
    async ({ method, path, access }) => {
      const keys = (["shipper", "viewer", "admin"] as const).map((kid) => config.apiKeys.get(kid)!);
      const allowed = keys.filter((key) => [...key.permissions].some((permission) => permission === access));
      expect(allowed).toHaveLength(access === "config:write" ? 1 : 2);
      for (const key of keys) {
        const { status } = await app.request(path, { method, headers: { Authorization: `Bearer ${key.kid}.secret` } });
        // 428: a key that may replace the configuration has to say which.
        expect([200, 404, 428].includes(status), `${key.kid}: ${status}`).toBe(allowed.includes(key));
        expect(status === 403, `${key.kid}: ${status}`).toBe(!allowed.includes(key));
      }
    },
  );

  it("is shut if it was registered without a permission", async () => {
    const { app: careless } = testApp();
    careless.get("/v1/secrets", (c) => c.text("all of them"));
    expect((await careless.request("/v1/secrets")).status).toBe(401);
    const response = await careless.request("/v1/secrets", { headers: auth("admin") });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ type: "/problems/forbidden", permission: null });
  });
});

describe("every answer", () => {
  const { app } = testApp();

  it("names its request, problems in their instance too", async () => {
    const well = await app.request("/healthz");
    expect(well.headers.get("X-Request-Id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(await well.json()).toEqual({ status: "ok" });
    const problem = await app.request("/nothing");
    expect(problem.status).toBe(404);
    expect(await problem.json()).toMatchObject({
      type: "/problems/not-found",
      instance: `/requests/${problem.headers.get("X-Request-Id")}`,
    });
  });

  it.each([
    ["GET", "/v1/ingest/auto", "POST"],
    ["HEAD", "/v1/ingest/auto", "POST"],
    ["DELETE", "/v1/anomalies", "HEAD, GET"],
    ["POST", "/healthz", "HEAD, GET"],
  ])("to %s %s is 405 with Allow: %s", async (method, path, allow) => {
    const response = await app.request(path, { method, headers: auth("admin") });
    expect(response.status).toBe(405);
    expect(response.headers.get("Allow")).toBe(allow);
  });

  it("to a bug is a bare 500; the log has the rest", async () => {
    const { app: broken, events } = testApp({
      anomalies: { get: () => Promise.reject(new TypeError("10.0.0.5 is not a function")) } as never,
    });
    const response = await broken.request(`/v1/anomalies/${"0".repeat(32)}`, { headers: auth("viewer") });
    expect(response.status).toBe(500);
    const id = response.headers.get("X-Request-Id");
    const bare = {
      type: "/problems/internal",
      status: 500,
      title: "Something went wrong here",
      instance: `/requests/${id}`,
    };
    expect(await response.json()).toEqual(bare);
    expect(events).toMatchObject([{ level: "error", message: "unexpected error", request_id: id }]);
  });
});
