import { signed } from "./authorization.ts";
import { Client } from "./client.ts";
import { Failure } from "./failure.ts";
import { localKey, localOperatorKey } from "./local-key.ts";

/** The flags of every command that talks to a Weir. */
export const connectionArgs = {
  url: { type: "string", description: "Where Weir is (WEIR_URL)", valueHint: "url" },
  key: {
    type: "string",
    description: "An API key (WEIR_KEY), else the local one that npm start made",
    valueHint: "kid.secret",
  },
} as const;

/** A client for what flags, environment or the local installation say, in this order. */
export function connect(
  args: { url?: string | undefined; key?: string | undefined; sign?: boolean | undefined },
  onWait?: (reason: string, seconds: number) => void,
): Client {
  const url = urlIn(args);
  const key = args.key ?? process.env["WEIR_KEY"] ?? localKey();
  if (key === undefined)
    throw new Failure("There is no API key: give --key or WEIR_KEY, or let npm start make a local one.", 2);
  return new Client(url, args.sign ? signed(key) : key, onWait);
}

/** A client for whoever makes and destroys tenants. */
export function connectAsOperator(args: { url?: string | undefined; key?: string | undefined }): Client {
  const url = urlIn(args);
  const key = args.key ?? process.env["WEIR_OPERATOR_KEY"] ?? localOperatorKey();
  if (key === undefined)
    throw new Failure("There is no operator's key: give --key or WEIR_OPERATOR_KEY, or let npm start make one.", 2);
  return new Client(url, key);
}

function urlIn(args: { url?: string | undefined }): string {
  const url = args.url ?? process.env["WEIR_URL"] ?? "http://127.0.0.1:8787";
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw new Failure(`--url takes an http address, not ${url}.`, 2);
  return url;
}
