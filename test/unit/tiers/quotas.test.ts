import { expect, it } from "vitest";
import { tenantSettings } from "../../../src/security/tenant-settings.ts";
import { Quotas } from "../../../src/tiers/quotas.ts";

const tenant = (flows_per_second: number | null, id = "acme") =>
  tenantSettings(id, { limits: { flows_per_second } }, 0);

it("takes what comes in ten seconds at once, and then what the rate gives", () => {
  const quotas = new Quotas();
  const acme = tenant(100);
  expect(quotas.take(acme, 1000, 0)).toBeUndefined();
  expect(quotas.take(acme, 100, 0)).toEqual({
    reason: "quota_exceeded",
    limit: { name: "flows_per_second", value: 100, unit: "records/s" },
    retryAfterS: 1,
  });
  expect(quotas.take(acme, 100, 999)).toMatchObject({ retryAfterS: 1 });
  expect(quotas.take(acme, 100, 1000)).toBeUndefined();
  expect(quotas.take(acme, 1, 1000)).toMatchObject({ retryAfterS: 1 });
  expect(quotas.take(acme, 1000, 3_600_000)).toBeUndefined();
  expect(quotas.take(acme, 1, 3_600_000)).toBeDefined();
});

it("takes a batch larger than that from a full bucket, which is empty for longer then", () => {
  const quotas = new Quotas();
  const acme = tenant(100);
  expect(quotas.take(acme, 5000, 0)).toBeUndefined();
  expect(quotas.take(acme, 1, 0)).toMatchObject({ retryAfterS: 41 });
  expect(quotas.take(acme, 5000, 49_999)).toBeDefined();
  expect(quotas.take(acme, 5000, 50_000)).toBeUndefined();
});

it("counts tenants apart, and those without a bound not at all", () => {
  const quotas = new Quotas();
  for (let i = 0; i < 100; i++) expect(quotas.take(tenant(null), 200_000, 0)).toBeUndefined();
  expect(quotas.take(tenant(1), 10, 0)).toBeUndefined();
  expect(quotas.take(tenant(1), 1, 0)).toBeDefined();
  expect(quotas.take(tenant(1, "lab"), 10, 0)).toBeUndefined();
});

it("gives nothing to a clock that steps back", () => {
  const quotas = new Quotas();
  quotas.take(tenant(1), 10, 10_000);
  expect(quotas.take(tenant(1), 1, 0)).toBeDefined();
  expect(quotas.take(tenant(1), 1, 10_000)).toBeDefined();
  expect(quotas.take(tenant(1), 1, 11_000)).toBeUndefined();
});
