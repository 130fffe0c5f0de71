import { setTimeout as sleep } from "node:timers/promises";
import { defineCommand } from "citty";
import { jurisdictions } from "../security/tenant.ts";
import type { ShownTenant, TenantLimitsWish } from "./client.ts";
import { command, oneOf, wholeNumber } from "./command.ts";
import { connectAsOperator, connectionArgs } from "./connect.ts";
import { Failure } from "./failure.ts";
import { shownOnce } from "./keys.ts";
import { table } from "./table.ts";

/** How often a tenant is asked to be destroyed until nothing of it is left, and how long, in ms. */
const destroyEveryMs = 3_000;
const destroyMsMax = 10 * 60_000;

/** The flags of every command that is the operator's. */
export const operatorArgs = {
  ...connectionArgs,
  key: {
    type: "string",
    description: "The operator's API key (WEIR_OPERATOR_KEY), else the local one that npm start made",
    valueHint: "kid.secret",
  },
} as const;
const json = { type: "boolean", description: "As the API answers it" } as const;
const tenant = {
  type: "positional",
  required: true,
  description: "Its name: lower-case letters, digits and hyphens",
} as const;

const limitArgs = {
  shards: { type: "string", description: "Objects that share its entities; who moves starts without a past" },
  "flows-per-second": { type: "string", description: "Records a second, in each isolate; none: no bound" },
  "records-per-batch": { type: "string", description: "Records of one batch; none: no bound but Weir's own" },
  allow: { type: "string", description: "Networks that its keys may be used from, by commas; none: any" },
  deny: { type: "string", description: "Networks that its keys may not be used from; likewise" },
} as const;

const create = command({
  meta: { name: "create", description: "Make a tenant, and show the first key of its admin this once" },
  args: {
    ...operatorArgs,
    tenant,
    internal: { type: "string", description: "Networks that are its own, by commas; private ones unless told" },
    jurisdiction: { type: "string", description: `Where all that is its own is kept: ${jurisdictions.join(", ")}` },
    ...limitArgs,
    json,
  },
  async run({ args }) {
    const { jurisdiction } = args;
    const made = await connectAsOperator(args).createTenant({
      tenant: args.tenant,
      internal: args.internal?.split(","),
      jurisdiction: jurisdiction === undefined ? undefined : oneOf("jurisdiction", jurisdiction, jurisdictions),
      ...limitsIn(args),
    });
    console.log(args.json ? JSON.stringify(made, null, 1) : `${shownOnce(made.key.bearer)}\n${tenantTable([made])}`);
  },
});

const list = command({
  meta: { name: "list", description: "Show all tenants, and what they may use" },
  args: { ...operatorArgs, json },
  async run({ args }) {
    const tenants = await connectAsOperator(args).tenants();
    console.log(args.json ? JSON.stringify({ tenants }, null, 1) : tenantTable(tenants));
  },
});

const limits = command({
  meta: { name: "limits", description: "Show what a tenant may use, or change it" },
  args: { ...operatorArgs, tenant, ...limitArgs, json },
  async run({ args }) {
    const client = connectAsOperator(args);
    const wish = limitsIn(args);
    const isChange = Object.keys(wish).length > 0;
    const shown = await (isChange ? client.changeTenant(args.tenant, wish) : client.tenant(args.tenant));
    console.log(args.json ? JSON.stringify(shown, null, 1) : tenantTable([shown]));
  },
});

const destroy = command({
  meta: { name: "destroy", description: "Destroy a tenant: its keys, and all that was ever kept of it" },
  args: {
    ...operatorArgs,
    tenant,
    confirm: { type: "string", description: "The tenant's name once more", required: true },
  },
  async run({ args }) {
    if (args.confirm !== args.tenant) throw new Failure(`--confirm must be ${args.tenant}.`, 2);
    const client = connectAsOperator(args);
    for (const untilMs = Date.now() + destroyMsMax; ;) {
      const { left } = await client.destroyTenant(args.tenant);
      if (left.length === 0) break;
      if (Date.now() > untilMs)
        throw new Failure(`Of ${args.tenant} there is still something left: ${left.join(", ")}.`);
      process.stderr.write(`left: ${left.join(", ")}\n`);
      await sleep(destroyEveryMs);
    }
    console.log(`Nothing is left of ${args.tenant} but its name and the audit log.`);
  },
});

export const tenants = defineCommand({
  meta: { name: "tenants", description: "Make, list, limit and destroy tenants" },
  subCommands: { create, list, limits, destroy },
});

/** What was named; `none` takes a bound or a list away. */
function limitsIn(args: { [name in keyof typeof limitArgs]?: string | undefined }): TenantLimitsWish {
  const { shards, "flows-per-second": flows, "records-per-batch": records, allow, deny } = args;
  const count = (name: string, text: string) => (text === "none" ? null : wholeNumber(name, text, 1, 10_000_000));
  const networksOf = (text: string) => (text === "none" ? null : text.split(","));
  return {
    ...(shards !== undefined && { shards: wholeNumber("shards", shards, 1, 64) }),
    ...((flows !== undefined || records !== undefined) && {
      limits: {
        ...(flows !== undefined && { flows_per_second: count("flows-per-second", flows) }),
        ...(records !== undefined && { records_per_batch: count("records-per-batch", records) }),
      },
    }),
    ...((allow !== undefined || deny !== undefined) && {
      networks: {
        ...(allow !== undefined && { allow: networksOf(allow) }),
        ...(deny !== undefined && { deny: networksOf(deny) }),
      },
    }),
  };
}

function tenantTable(all: readonly ShownTenant[]): string {
  const head = ["tenant", "where", "shards", "flows/s", "records/batch", "state"];
  const rows = all.map((one) => {
    const { flows_per_second, records_per_batch } = one.limits;
    const ended = one.gone_at === null ? one.destroyed_at && "being destroyed" : "gone";
    const state = ended || (one.source === "environment" ? "(environment)" : `since ${one.created_at}`);
    const counts = [one.shards ?? "-", flows_per_second ?? "-", records_per_batch ?? "-"];
    return [one.tenant, one.jurisdiction ?? "anywhere", ...counts, state];
  });
  return table(head, rows);
}
