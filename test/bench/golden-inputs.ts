import { inputTensors, shapeOf } from "../../src/inference/model-shape.ts";
import type { ModelPackage, Tensors } from "../../src/inference/model.ts";

/** A model's golden rows, over and over, as its inputs. */
export function goldenInputs(
  { name, features, golden }: Pick<ModelPackage, "name" | "features" | "golden">,
  rows: number,
): Tensors {
  const shape = shapeOf({ name, features });
  const cycled = <T>(of: readonly T[]) => Array.from({ length: rows }, (_, row) => of[row % of.length]);
  const values = Float32Array.from(cycled(golden.rows).flat());
  return inputTensors(shape, rows, { values, mask: Float32Array.from(cycled(golden.masks ?? []).flat()) });
}
