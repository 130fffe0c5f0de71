/**
 * On every answer. Nothing here is a page, so nothing may be loaded, framed, kept or guessed at. There is no header that
 * lets another site's script read an answer (CORS).
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-store",
  // Two years, as browsers' own lists want it.
  "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
};
