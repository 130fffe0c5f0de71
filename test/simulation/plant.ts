import { registerHooks } from "node:module";
import { plantedBugs } from "./planted.ts";

/** Plants the bug that `PLANTED` names: loaded by `node --import` before anything else. */
const name = process.env["PLANTED"] as keyof typeof plantedBugs;
const bug = plantedBugs[name];
let isPlanted = false;

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith(bug.file)) return loaded;
    const source = Buffer.from(loaded.source as Uint8Array).toString();
    if (source.split(bug.find).length !== 2) throw new Error(`${bug.file} does not hold once: ${bug.find}`);
    isPlanted = true;
    return { ...loaded, source: source.replace(bug.find, bug.replace) };
  },
});

process.on("exit", () => {
  if (!isPlanted) throw new Error(`${name} was not planted: ${bug.file} was not loaded`);
});
