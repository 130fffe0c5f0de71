import { DurableObject } from "cloudflare:workers";

/** The circuit breaker of one dependency. */
export class ModelBreaker extends DurableObject<Env> {}
