import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { modelNames, type ModelName, type ModelPackage } from "../inference/model.ts";
import { folders, packageFiles } from "../inference/package-files.ts";
import { Failure } from "./failure.ts";
import { projectRoot } from "./local-key.ts";

/** As `src/inference/built-in.ts`, of the files in `models/`. */
export function builtInModels(): ReadonlyMap<ModelName, ModelPackage> {
  return new Map(modelNames.map((name) => [name, modelIn(join(projectRoot, "models", folders[name]), name)]));
}

/** The package that a folder holds. @throws Failure naming the file that is not as it should be */
export function modelIn(folder: string, name: ModelName): ModelPackage {
  const onnx = new Uint8Array(readFileSync(join(folder, "model.onnx")));
  return {
    name,
    sha256: createHash("sha256").update(onnx).digest("hex"),
    onnx,
    features: fileIn(folder, "features.json", packageFiles.features),
    calibration: fileIn(folder, "calibration.json", packageFiles.calibration),
    golden: fileIn(folder, "golden.json", packageFiles.golden),
    card: readFileSync(join(folder, "card.md"), "utf8"),
  };
}

function fileIn<Schema extends v.GenericSchema>(folder: string, file: string, schema: Schema): v.InferOutput<Schema> {
  const path = join(folder, file);
  try {
    return v.parse(schema, JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw error;
    throw new Failure(`${path} is not as it should be: ${(error as Error).message}`);
  }
}
