import { DurableObject } from "cloudflare:workers";

/** Runs models away from the isolate that asks. */
export class ModelRunner extends DurableObject<Env> {}
