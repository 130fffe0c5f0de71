import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { withOperator } from "../../../src/cli/local-key.ts";
import { run } from "../../../src/cli/weir.ts";
import { readConfig } from "../../../src/config.ts";

interface Asked {
  method: string | undefined;
  url: string | undefined;
  authorization: string | undefined;
  confirm: string | string[] | undefined;
  body: unknown;
}

let server: Server | undefined;
let out = "";
let errors = "";
let asked: Asked[] = [];

/** A Weir that answers these, one after the other. */
async function serve(answers: object[], status = 200): Promise<void> {
  server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const { method, url, headers } = request;
    const text = Buffer.concat(chunks).toString();
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    asked.push({ method, url, authorization: headers.authorization, confirm: headers["weir-confirm"], body });
    response.writeHead(status).end(JSON.stringify(answers.shift()));
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  vi.stubEnv("WEIR_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

beforeEach(() => {
  out = errors = "";
  asked = [];
  vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
  vi.stubEnv("WEIR_KEY", "k.admin");
  vi.stubEnv("WEIR_OPERATOR_KEY", "k.operator");
});

afterEach(() => {
  server?.close();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const key = {
  kid: "k1",
  role: "shipper",
  view: "sealed",
  label: "edge router",
  source: "api",
  state: "good",
  expires_at: null,
  revoked_at: null,
  grace_until: null,
};
const tenant = {
  tenant: "initech",
  source: "api",
  jurisdiction: null,
  shards: 2,
  limits: { flows_per_second: 1000, records_per_batch: null },
  created_at: "2026-11-22T17:00:00.000Z",
  destroyed_at: null,
  gone_at: null,
};

describe("weir tenants", () => {
  it("makes one with the operator's key, and shows the first key of its admin", async () => {
    await serve([{ ...tenant, key: { ...key, bearer: "k1.s3cret" } }]);
    const flags = ["--internal", "10.0.0.0/8,fd00::/8", "--flows-per-second", "1000", "--allow=203.0.113.0/24"];
    expect(await run(["tenants", "create", "initech", ...flags])).toBe(0);
    expect(asked).toMatchObject([{ method: "POST", url: "/v1/tenants", authorization: "Bearer k.operator" }]);
    expect(asked[0].body).toEqual({
      tenant: "initech",
      internal: ["10.0.0.0/8", "fd00::/8"],
      limits: { flows_per_second: 1000 },
      networks: { allow: ["203.0.113.0/24"] },
    });
    expect(out).toMatch(/^ {2}k1\.s3cret$/m);
    expect(out).toMatch(/^initech +anywhere +2 +1000 +- +since 2026-11-22T17/m);
  });

  it("lists them page by page", async () => {
    const acme = { ...tenant, tenant: "acme", source: "environment", created_at: null };
    await serve([
      { tenants: [acme], next: "acme" },
      { tenants: [{ ...tenant, destroyed_at: tenant.created_at }], next: null },
    ]);
    expect(await run(["tenants", "list"])).toBe(0);
    expect(asked.map(({ url }) => url)).toEqual(["/v1/tenants?", "/v1/tenants?behind=acme"]);
    expect(out).toMatch(/^acme .+\(environment\)\ninitech .+being destroyed$/m);
  });

  it("shows limits, and changes those that are named", async () => {
    await serve([tenant, tenant]);
    expect(await run(["tenants", "limits", "initech"])).toBe(0);
    expect(await run(["tenants", "limits", "initech", "--flows-per-second=none", "--deny", "none"])).toBe(0);
    expect(asked).toMatchObject([
      { method: "GET", url: "/v1/tenants/initech", body: undefined },
      { method: "PATCH", body: { limits: { flows_per_second: null }, networks: { deny: null } } },
    ]);
  });

  it("destroys one that is named twice, until nothing is left", async () => {
    const [left, gone] = [["rows", "requests"], []].map((some) => ({ ...tenant, left: some }));
    await serve([left, gone]);
    expect(await run(["tenants", "destroy", "initech", "--confirm", "initec"])).toBe(2);
    expect(asked).toEqual([]);
    expect(await run(["tenants", "destroy", "initech", "--confirm", "initech"])).toBe(0);
    const confirmed = { method: "DELETE", url: "/v1/tenants/initech", confirm: "initech" };
    expect(asked).toMatchObject([confirmed, confirmed]);
    expect(out).toBe("Nothing is left of initech but its name and the audit log.\n");
  });

  it("tells why not", async () => {
    await serve([{ title: "It is not in a state for that", detail: "it is a tenant of the environment" }], 409);
    expect(await run(["tenants", "limits", "acme", "--shards", "2"])).toBe(1);
    expect(errors).toBe("weir: 409: It is not in a state for that (it is a tenant of the environment).\n");
  });
});

describe("weir keys", () => {
  it("makes one, and shows it", async () => {
    await serve([{ ...key, bearer: "k1.s3cret" }]);
    const times = ["--not-before", "2026-11-22T17:00:00+01:00", "--expires", "30d"];
    const flags = ["--role", "shipper", "--label", "edge router", "--permissions", "ingest:write", "--signing"];
    const before = Date.now();
    expect(await run(["keys", "create", ...flags, ...times])).toBe(0);
    const { body, ...rest } = asked[0];
    expect(rest).toMatchObject({ method: "POST", url: "/v1/keys", authorization: "Bearer k.admin" });
    expect(body).toMatchObject({
      role: "shipper",
      label: "edge router",
      permissions: ["ingest:write"],
      signing: true,
      not_before: "2026-11-22T16:00:00.000Z",
    });
    const expiresInMs = Date.parse((body as { expires_at: string }).expires_at) - before;
    expect(Math.abs(expiresInMs - 30 * 86_400_000)).toBeLessThan(60_000);
    expect(out).toMatch(/^ {2}k1\.s3cret$/m);
  });

  it("lists, rotates and revokes", async () => {
    const until = "2026-11-23T17:00:00.000Z";
    await serve([
      { keys: [{ ...key, grace_until: until, state: "rotated" }] },
      { ...key, kid: "k2", bearer: "k2.s3cret", replaces: { kid: "k1", grace_until: until } },
      { ...key, kid: "k2", bearer: "k2.s3cret", replaces: { kid: "k1", grace_until: until } },
      { ...key, revoked_at: until },
    ]);
    expect(await run(["keys", "list"])).toBe(0);
    expect(out).toMatch(new RegExp(`^k1 +shipper +sealed +rotated +${until} +edge router$`, "m"));
    expect(await run(["keys", "rotate", "k1"])).toBe(0);
    expect(await run(["keys", "rotate", "k1", "--grace", "12h"])).toBe(0);
    expect(out).toContain(`k1 is good until ${until}.`);
    expect(await run(["keys", "revoke", "k1"])).toBe(0);
    expect(out).toMatch(/k1 was revoked at 2026-11-23T17:00:00.000Z\.\n$/);
    expect(asked.map(({ method, url, body }) => [method, url, body])).toEqual([
      ["GET", "/v1/keys", undefined],
      ["POST", "/v1/keys/k1/rotate", {}],
      ["POST", "/v1/keys/k1/rotate", { grace_s: 43_200 }],
      ["DELETE", "/v1/keys/k1", undefined],
    ]);
  });
});

it.each([
  [["keys"]],
  [["keys", "lend"]],
  [["keys", "create"]],
  [["keys", "create", "--role", "operator"]],
  [["keys", "create", "--role", "viewer", "--view", "blurred"]],
  [["keys", "create", "--role", "viewer", "--expires", "soon"]],
  [["keys", "rotate"]],
  [["keys", "rotate", "k1", "--grace", "long"]],
  [["tenants"]],
  [["tenants", "create"]],
  [["tenants", "create", "initech", "--shards", "100"]],
  [["tenants", "create", "initech", "--jurisdiction", "mars"]],
  [["tenants", "destroy", "initech"]],
  [["tenants", "limits", "initech", "--flows-per-second", "many"]],
])("answers 2 to %j, with one sentence", async (argv) => {
  vi.stubEnv("WEIR_URL", "http://127.0.0.1:1");
  expect(await run(argv)).toBe(2);
  expect(errors).toMatch(/^weir: .+\n$/);
});

describe("local settings", () => {
  const local = { kid: "k1", tenant: "local", role: "admin", secret_sha256: "ab".repeat(32) };
  const settings = `# WEIR_KEY=k1.s\nAPI_KEYS='${JSON.stringify([local])}'\nMASTER_KEY='x'\n`;

  it("that have no operator get one, and keep the rest", () => {
    const whole = withOperator(settings);
    const [, API_KEYS] = /^API_KEYS='(.*)'$/m.exec(whole)!;
    const { apiKeys } = readConfig({ API_KEYS, MASTER_KEY: Buffer.alloc(32).toString("base64") });
    const [, bearer] = /^# WEIR_OPERATOR_KEY=(\S+)$/m.exec(whole)!;
    expect(apiKeys.get("k1")).toMatchObject({ tenant: "local", role: "admin" });
    expect(apiKeys.get(bearer.split(".")[0])).toMatchObject({ tenant: "-", role: "operator" });
    expect(whole).toContain("# WEIR_KEY=k1.s\n");
    expect(whole).toContain("MASTER_KEY='x'\n");
    expect(withOperator(whole)).toBe(whole);
  });

  it("that somebody wrote otherwise stay as they are", () => {
    expect(withOperator("API_KEYS=[]\n")).toBe("API_KEYS=[]\n");
  });
});
