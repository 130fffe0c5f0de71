/** Stands in for the schema libraries that hono-openapi would bundle and nobody here uses: see `[alias]` in wrangler.toml. */
export default {};
