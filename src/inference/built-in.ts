import forestCalibration from "../../models/isolation-forest/calibration.json";
import forestCard from "../../models/isolation-forest/card.md";
import forestFeatures from "../../models/isolation-forest/features.json";
import forestGolden from "../../models/isolation-forest/golden.json";
import forestOnnx from "../../models/isolation-forest/model.onnx";
import lstmCalibration from "../../models/lstm-autoencoder/calibration.json";
import lstmCard from "../../models/lstm-autoencoder/card.md";
import lstmFeatures from "../../models/lstm-autoencoder/features.json";
import lstmGolden from "../../models/lstm-autoencoder/golden.json";
import lstmOnnx from "../../models/lstm-autoencoder/model.onnx";
import { sha256Of } from "./model-cache.ts";
import type { ModelName, ModelPackage } from "./model.ts";

/** What ships with the Worker: half a megabyte, in memory once. They need no upload, no network and no trial. */
export function builtInModels(): ReadonlyMap<ModelName, ModelPackage> {
  const forest = {
    onnx: new Uint8Array(forestOnnx),
    features: forestFeatures,
    calibration: forestCalibration,
    golden: forestGolden,
    card: forestCard,
  };
  const lstm = {
    onnx: new Uint8Array(lstmOnnx),
    features: lstmFeatures,
    calibration: lstmCalibration,
    golden: lstmGolden,
    card: lstmCard,
  };
  return new Map<ModelName, ModelPackage>([
    ["isolation_forest", { ...forest, name: "isolation_forest", sha256: sha256Of(forest.onnx) }],
    ["lstm_autoencoder", { ...lstm, name: "lstm_autoencoder", sha256: sha256Of(lstm.onnx) }],
  ]);
}
