import * as v from "valibot";
import type { Calibration, FeatureList, Golden, ModelName } from "./model.ts";

/** Of a histogram; ten are usual. */
const partsMax = 64;
/** Of one model: Weir has two dozen to choose from. */
const featuresMax = 64;
/** Steps of a calibration table: finer than p-values are shown. */
const stepsMax = 65_536;
const rowsMax = 1_024;

const number = v.pipe(v.number(), v.finite());
const numbers = (max: number) => v.pipe(v.array(number), v.maxLength(max));
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));
const word = v.pipe(v.string(), v.maxLength(100));

const histogram = v.object({ edges: numbers(partsMax - 1), shares: numbers(partsMax) });

/** Only the form: whether they fit the model and each other, its trial says. What they say beside this is left out. */
export const packageFiles = {
  features: v.object({
    window_s: positive,
    windows: positive,
    features: v.pipe(
      v.array(v.object({ name: word, unit: word, min: number, max: number })),
      v.minLength(1),
      v.maxLength(featuresMax),
    ),
  }) satisfies v.GenericSchema<unknown, FeatureList>,
  calibration: v.object({
    windows: positive,
    scores: numbers(stepsMax),
    at_least: numbers(stepsMax),
    drift: v.object({ score: histogram, features: v.record(word, histogram) }),
  }) satisfies v.GenericSchema<unknown, Calibration>,
  golden: v.object({
    rows: v.pipe(v.array(numbers(32 * featuresMax)), v.maxLength(rowsMax)),
    masks: v.exactOptional(v.pipe(v.array(numbers(32)), v.maxLength(rowsMax))),
    scores: numbers(rowsMax),
    errors: v.exactOptional(v.pipe(v.array(numbers(featuresMax)), v.maxLength(rowsMax))),
  }) satisfies v.GenericSchema<unknown, Golden>,
};

/** Where `models/` has what ships with Weir. */
export const folders: { readonly [name in ModelName]: string } = {
  isolation_forest: "isolation-forest",
  lstm_autoencoder: "lstm-autoencoder",
};
