import type { Layer, Refusal, SecurityContext } from "./context.ts";
import { unauthenticated } from "./gateway.ts";

/** What of it is shown: how addresses look, and whose rows there are. Handlers read both here, never in the request. */
export const dataLayer: Layer = {
  name: "data",
  isForAll: false,
  async check(_, context: SecurityContext): Promise<Refusal | undefined> {
    const { principal, tenant } = context;
    if (!principal || tenant?.id !== principal.tenant) return unauthenticated("no_tenant", context.key);
    context.data = { view: principal.view, rowsOf: tenant.id };
    return undefined;
  },
};
