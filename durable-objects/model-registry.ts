import { DurableObject } from "cloudflare:workers";

/** Which version of each model is in force. */
export class ModelRegistry extends DurableObject<Env> {}
