import { DurableObject } from "cloudflare:workers";

/** Where models may be run. */
export class ModelInstances extends DurableObject<Env> {}
