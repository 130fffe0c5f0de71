import { beforeEach, describe, expect, it } from "vitest";
import page from "../../docs/security.md?raw";
import { actionOf } from "../../src/api/auditing.ts";
import type { ApiKey } from "../../src/security/api-key.ts";
import { platformTenant } from "../../src/security/tenant.ts";
import { routeAccess, tenantRoles, type Role } from "../../src/security/permissions.ts";
import { keyOf, secret } from "../unit/security/keys.ts";
import { acme, anomaly, auth, directoryWith, store, testApp } from "./harness.ts";

const everyRole: readonly Role[] = [...tenantRoles, "operator"];

/** A key of each role. */
const keys = everyRole.map((role) =>
  keyOf({ kid: `acme-${role}`, role, tenant: role === "operator" ? platformTenant : acme.id }),
);
const strangers = tenantRoles.map((role) => keyOf({ kid: `lab-${role}`, role, tenant: "lab" }));

const directory = directoryWith([...keys, ...strangers]);
const bearer = ({ kid }: Pick<ApiKey, "kid">, shown = secret) => ({ Authorization: `Bearer ${kid}.${shown}` });

/** What stands in `docs/security.md` for each route: its permission, and the roles that may. */
const documented = new Map(
  tableUnder("## Who may do what").map(({ route, permission, ...cells }) => {
    const may = everyRole.filter((role) => cells[role] === "yes");
    const said = everyRole.every((role) => cells[role] === "yes" || cells[role] === "–");
    return [unquoted(route).replace(/\{(\w+)\}/g, ":$1"), { permission: unquoted(permission), may, said }];
  }),
);

function tableUnder(heading: string): { [column: string]: string }[] {
  const [, section = ""] = page.split(`${heading}\n`);
  const [head, , ...rows] = section
    .split("\n## ")[0]
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1));
  return rows.map((cells) => Object.fromEntries(head.map((name, i) => [name.trim(), cells[i].trim()])));
}

function unquoted(text: string): string {
  return text.replaceAll("`", "");
}

const values: { [parameter: string]: string } = {
  format: "aws-vpc",
  id: "0".repeat(32),
  kid: "nobody",
  name: "isolation_forest",
  sha256: "0".repeat(64),
  tenant: "nobody",
};

/** Every route of the app, with its parameters filled in. */
function routesOf(app: ReturnType<typeof testApp>["app"]) {
  const routes = app.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${path}`);
  return [...new Set(routes)].map((route) => {
    const [method, path] = route.split(" ");
    const access = routeAccess.get(route);
    return { route, access, method, path: path.replace(/:(\w+)/g, (_, name: string) => values[name]) };
  });
}

/** A body that a route takes for one, and finds nothing to do in. */
function bodyOf(method: string, path: string): RequestInit {
  if (method === "GET" || method === "DELETE" || path.startsWith("/v1/ingest/")) return {};
  return { body: '{"nothing":1}', headers: { "Content-Type": "application/json" } };
}

const { app } = testApp({ directory });
const routes = routesOf(app);
const shut = routes.filter(({ access }) => access !== "public");
type Route = (typeof routes)[number];

const ask = ({ method, path }: Route, headers: Record<string, string>, to = testApp({ directory })) => {
  const { headers: type, ...init } = bodyOf(method, path);
  return to.app.request(path, { method, ...init, headers: { ...(type as Record<string, string>), ...headers } });
};
const isIn = ({ status }: Response) => status !== 401 && status !== 403;

describe("every route", () => {
  it("is in the table of permissions, and the table has no other", () => {
    expect(routes.map(({ route }) => route).toSorted()).toEqual([...routeAccess.keys()].toSorted());
    expect(routes.length).toBeGreaterThanOrEqual(20);
  });

  it("stands in docs/security.md with its permission, and no other does", () => {
    expect([...documented.keys()].toSorted()).toEqual([...routeAccess.keys()].toSorted());
    for (const [route, { permission, said }] of documented) {
      expect(permission, route).toBe(routeAccess.get(route));
      expect(said, route).toBe(true);
    }
  });

  it("has a name in the audit log, and only what changes nothing is called reading", () => {
    const names = shut.map(({ route, method }) => [method === "GET", actionOf(route)] as const);
    for (const [isReading, name] of names) expect(name.endsWith(".read"), name).toBe(isReading);
  });

  it("is public only if it says nothing of a tenant", () => {
    const open = [...routeAccess].filter(([, access]) => access === "public").map(([route]) => route);
    expect(open).toEqual(["GET /healthz", "GET /openapi.json"]);
  });

  it.each(routes.filter(({ access }) => access === "public"))("$route: anyone", async (route) => {
    for (const headers of [{}, { Authorization: "Bearer nobody.secret" }, bearer(keys[0])])
      expect((await ask(route, headers as Record<string, string>)).status).toBe(200);
  });

  it.each(shut)("$route: nobody without a good key", async (route) => {
    const wrong = [{}, bearer({ kid: "nobody" }), bearer({ kid: "acme-admin" }, "wrong"), { Authorization: "Bearer" }];
    for (const headers of wrong as Record<string, string>[]) {
      const to = testApp({ directory });
      const response = await ask(route, headers, to);
      expect(response.status).toBe(401);
      expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
      expect(await response.json()).toMatchObject({ type: "/problems/unauthenticated" });
      expect(to.audited).toMatchObject([
        { action: "authentication", outcome: "failure", detail: { route: route.route } },
      ]);
    }
  });

  it.each(shut)("$route: exactly the roles that docs/security.md names", async (route) => {
    const asked = await Promise.all(
      keys.map(async (key) => {
        const to = testApp({ directory });
        return { key, to, response: await ask(route, bearer(key), to) };
      }),
    );
    const may = asked.filter(({ response }) => isIn(response)).map(({ key }) => key.role);
    for (const { key, to, response } of asked.filter((one) => !isIn(one.response))) {
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({ type: "/problems/forbidden", permission: route.access });
      const { tenant, kid: actor } = key;
      expect(to.audited).toMatchObject([{ tenant, actor, action: "authorization", outcome: "failure" }]);
    }
    expect(may).toEqual(documented.get(route.route)?.may);
    expect(may.length).toBeGreaterThan(0);
  });

  it.each(shut)("$route: another tenant's key sees its own tenant, and never this one", async (route) => {
    const to = testApp({ directory });
    await to.app.request("/v1/anomalies", { headers: bearer(keys[1]) });
    for (const key of strangers) {
      const response = await ask(route, bearer(key), to);
      const { may } = documented.get(route.route)!;
      expect(isIn(response), `${key.role}: ${response.status}`).toBe(may.includes(key.role));
      const text = await response.text();
      expect(text).not.toContain("acme");
      expect(text).not.toContain("10.0.0.5");
      expect(to.audited.at(-1)?.tenant).toBe("lab");
    }
  });

  it("is shut if it was registered without a permission", async () => {
    const { app: careless } = testApp({ directory });
    careless.get("/v1/secrets", (c) => c.text("all of them"));
    expect((await careless.request("/v1/secrets")).status).toBe(401);
    for (const key of keys) {
      const response = await careless.request("/v1/secrets", { headers: bearer(key) });
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({ type: "/problems/forbidden", permission: null });
    }
  });
});

describe("what belongs to a tenant", () => {
  const mine = anomaly(0xacce55);
  beforeEach(() => store.upsert(acme, [mine]));

  it("is found by its keys, and by nobody else's, whatever they name", async () => {
    const to = testApp({ directory });
    const get = (path: string, kid: string) => to.app.request(path, { headers: bearer({ kid }) });
    expect((await get(`/v1/anomalies/${mine.id}`, "acme-viewer")).status).toBe(200);
    expect((await get(`/v1/anomalies/${mine.id}`, "lab-admin")).status).toBe(404);
    expect(await (await get("/v1/anomalies", "lab-admin")).json()).toEqual({ anomalies: [], next: null });
    for (const path of [`/v1/anomalies/${mine.id}`, "/v1/anomalies"]) {
      for (const named of ["acme", "-"]) expect((await get(`${path}?tenant=${named}`, "lab-admin")).status).toBe(400);
    }
    const headers = { ...bearer({ kid: "lab-admin" }), "X-Tenant": "acme", "X-Scope-OrgID": "acme" };
    expect((await to.app.request(`/v1/anomalies/${mine.id}`, { headers })).status).toBe(404);
  });
});

describe("what was let in", () => {
  it("is written down: what a person read each time, what a machine sent as a count", async () => {
    const to = testApp({ directory });
    await to.app.request("/v1/anomalies?limit=1", { headers: bearer({ kid: "acme-viewer" }) });
    await to.app.request("/v1/anomalies?as=sealed", { headers: bearer({ kid: "acme-viewer" }) });
    await to.app.request("/v1/ingest/aws-vpc", { method: "POST", headers: bearer({ kid: "acme-shipper" }) });
    expect(to.audited).toMatchObject([
      { tenant: "acme", actor: "acme-viewer", action: "anomalies.read", outcome: "success", detail: { view: "clear" } },
      { tenant: "acme", actor: "acme-viewer", action: "export", outcome: "success" },
      { tenant: "acme", actor: "acme-shipper", action: "ingest", outcome: "success" },
    ]);
  });
});

describe("every answer", () => {
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
