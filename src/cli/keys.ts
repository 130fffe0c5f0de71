import { defineCommand } from "citty";
import { permissions, tenantRoles, views } from "../security/permissions.ts";
import type { ShownKey } from "./client.ts";
import { command, oneOf } from "./command.ts";
import { connect, connectionArgs } from "./connect.ts";
import { Failure } from "./failure.ts";
import { rewrapKeys, rotateData } from "./rotate-data.ts";
import { table } from "./table.ts";

const json = { type: "boolean", description: "As the API answers it" } as const;
const kid = { type: "positional", required: true, description: "The key's id: what stands before the dot" } as const;

const create = command({
  meta: { name: "create", description: "Make an API key, and show it this once" },
  args: {
    ...connectionArgs,
    role: { type: "string", description: tenantRoles.join(", "), required: true },
    permissions: { type: "string", description: `Only these of the role's, by commas: ${permissions.join(", ")}` },
    view: { type: "string", description: `How it sees addresses: ${views.join(", ")}; as the role does unless told` },
    label: { type: "string", description: "What it is for" },
    "not-before": { type: "string", description: "Good from then on: RFC 3339, or in a while, as in 12h or 30d" },
    expires: { type: "string", description: "Good until then: likewise" },
    signing: { type: "boolean", description: "It can sign requests (weir send --sign)" },
    json,
  },
  async run({ args }) {
    const made = await connect(args).createKey({
      role: oneOf("role", args.role, tenantRoles),
      permissions: args.permissions?.split(",").map((one) => oneOf("permissions", one, permissions)),
      view: args.view === undefined ? undefined : oneOf("view", args.view, views),
      label: args.label,
      not_before: timeIn("not-before", args["not-before"]),
      expires_at: timeIn("expires", args.expires),
      signing: args.signing,
    });
    console.log(args.json ? JSON.stringify(made, null, 1) : `${shownOnce(made.bearer)}\n${keyTable([made])}`);
  },
});

const list = command({
  meta: { name: "list", description: "Show the tenant's API keys, without their secrets" },
  args: { ...connectionArgs, json },
  async run({ args }) {
    const { keys } = await connect(args).keys();
    console.log(args.json ? JSON.stringify({ keys }, null, 1) : keyTable(keys));
  },
});

const rotate = command({
  meta: { name: "rotate", description: "Make another key that does the same; the old one is good for a while" },
  args: {
    ...connectionArgs,
    kid,
    grace: {
      type: "string",
      description: "How long the old one is good, as in 90s, 12h or 7d; 24h unless told, 30d at most",
    },
    json,
  },
  async run({ args }) {
    const graceS = args.grace === undefined ? undefined : secondsIn("grace", args.grace);
    const made = await connect(args).rotateKey(args.kid, graceS);
    const { replaces } = made;
    const old = `${replaces.kid} is good until ${replaces.grace_until}.`;
    console.log(args.json ? JSON.stringify(made, null, 1) : `${shownOnce(made.bearer)}\n${old}`);
  },
});

const revoke = command({
  meta: { name: "revoke", description: "Revoke an API key: within 10 s it opens nothing" },
  args: { ...connectionArgs, kid },
  async run({ args }) {
    const revoked = await connect(args).revokeKey(args.kid);
    console.log(`${revoked.kid} was revoked at ${revoked.revoked_at}.`);
  },
});

export const keys = defineCommand({
  meta: { name: "keys", description: "Make, list, rotate and revoke API keys; make new keys for what is stored" },
  subCommands: { create, list, rotate, revoke, "rotate-data": rotateData, rewrap: rewrapKeys },
});

/** A key is told once, alone on its line. */
export function shownOnce(bearer: string): string {
  return `The key, which is not shown again:\n\n  ${bearer}\n`;
}

export function keyTable(all: readonly ShownKey[]): string {
  const head = ["key", "role", "view", "state", "until", "label"];
  const rows = all.map(({ kid: id, role, view, state, grace_until, expires_at, label, source }) => {
    const until = grace_until ?? expires_at ?? "-";
    return [id, role, view, state, until, source === "environment" ? "(environment)" : (label ?? "")];
  });
  return table(head, rows);
}

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `12h`, `7d`. */
function secondsIn(flag: string, text: string): number {
  const [, digits, unit] = /^(\d{1,8})([smhd])$/.exec(text) ?? [];
  if (digits === undefined) throw new Failure(`--${flag} takes a time as in 90s, 12h or 7d, not ${text}.`, 2);
  return Number(digits) * unitSeconds[unit as keyof typeof unitSeconds];
}

/** RFC 3339, of a time or of one that lies so far ahead. */
function timeIn(flag: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (/^\d+[smhd]$/.test(text)) return new Date(Date.now() + secondsIn(flag, text) * 1000).toISOString();
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new Failure(`--${flag} takes a time as in 2026-12-31T00:00:00Z or 30d, not ${text}.`, 2);
  return new Date(ms).toISOString();
}
