import type { Client, Rotation } from "./client.ts";
import { command } from "./command.ts";
import { connect, connectionArgs } from "./connect.ts";
import { Failure } from "./failure.ts";

export const rotateData = command({
  meta: { name: "rotate-data", description: "Make new keys for what is stored, and seal it with them" },
  args: {
    ...connectionArgs,
    resume: {
      type: "boolean",
      description: "Make no new keys: go on with a rotation, and remove keys that are done for",
    },
  },
  async run({ args }) {
    const client = connect(args);
    console.log(told(await rotated(client, args.resume === true)));
  },
});

export const rewrapKeys = command({
  meta: { name: "rewrap", description: "Wrap all keys with the first of MASTER_KEY; the operator's key is needed" },
  args: connectionArgs,
  async run({ args }) {
    const client = connect(args);
    let [rewrapped, left] = [0, 1];
    while (left > 0) {
      const part = await client.rewrapKeys();
      if (part.rewrapped === 0 && part.left > 0) throw new Failure(`${part.left} keys cannot be wrapped.`);
      rewrapped += part.rewrapped;
      left = part.left;
    }
    console.log(`${rewrapped} keys were wrapped with the first of MASTER_KEY: the others may go.`);
  },
});

type Total = Rotation & { resealed: number };

/** Goes on until nothing is left. */
async function rotated(client: Client, isResumed: boolean): Promise<Total> {
  let part = await client.rotateDataKeys(isResumed);
  let resealed = resealedIn(part);
  // Each call does something, or nothing is left but what others are writing.
  for (let idle = 0; !part.done && idle < idleMax; idle = resealedIn(part) > 0 ? 0 : idle + 1) {
    part = await client.rotateDataKeys(true);
    resealed += resealedIn(part);
  }
  if (!part.done)
    throw new Failure(`${part.rows.left} rows and ${part.blobs.left} blobs are left: try --resume later.`);
  return { ...part, resealed };
}

/** Calls in a row that do nothing. */
const idleMax = 20;

function resealedIn({ rows, blobs }: Rotation): number {
  return rows.resealed + rows.unreadable + blobs.resealed;
}

function told({ version, resealed, retire_at }: Total): string {
  const done = `Keys of version ${version} seal from now on; ${resealed} rows and blobs were sealed anew.`;
  if (retire_at === null) return `${done} There are no older ones.`;
  return `${done} Older ones open nothing any more, and can be removed after ${retire_at}: weir keys rotate-data --resume.`;
}
