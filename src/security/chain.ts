import type { GuardedRequest, Layer, Refusal, SecurityContext } from "./context.ts";

/** Asks layer by layer, in order, until one refuses. Whatever a layer throws ends the request, too. */
export async function runChain(
  layers: readonly Layer[],
  request: GuardedRequest,
  context: SecurityContext,
): Promise<Refusal | undefined> {
  const isOpen = request.wanted.length === 0;
  for (const layer of layers) {
    const { name, isForAll } = layer;
    if (isOpen && !isForAll) {
      context.layers.push({ name, outcome: "skipped" });
      continue;
    }
    const refusal = await layer.check(request, context);
    context.layers.push({ name, outcome: refusal ? "refused" : "passed" });
    if (refusal) return refusal;
  }
  return undefined;
}
