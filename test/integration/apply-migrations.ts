import { applyD1Migrations, env } from "cloudflare:test";
import { beforeEach, inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    migrations: Parameters<typeof applyD1Migrations>[1];
  }
}

beforeEach(() => applyD1Migrations(env.DB, inject("migrations")));
