"""Golden vectors: inputs, and what the training framework makes of them, by which any runtime can be checked."""

import numpy as np

from rows import ATTACK, BENIGN

OF_A_KIND = 12


def spread(indices):
    """OF_A_KIND of them, evenly."""
    return indices[np.unique(np.linspace(0, len(indices) - 1, min(OF_A_KIND, len(indices))).astype(int))]


def inputs_of(model, rows):
    """Of generated traffic only, some benign and some of attacks; then what lies at the ends of the ranges."""
    generated = rows.generated[rows.source]
    kinds = [np.flatnonzero(generated & (rows.label == label)) for label in (BENIGN, ATTACK)]
    real = model.inputs(np.concatenate([spread(kind) for kind in kinds]))
    made = extremes(model.windows, len(model.columns))
    if model.windows == 1:
        return {"features": np.concatenate([real["features"], made[0][:, 0]])}
    return {"sequence": np.concatenate([real["sequence"], made[0]]), "mask": np.concatenate([real["mask"], made[1]])}


def extremes(windows, features):
    """[8, windows, features] and masks [8, windows]: none, all, halves, steps; with a whole past, a short one, none."""
    every = np.arange(features)
    ends = [0 * every, 0 * every + 1, every % 2, 1 - every % 2, every < features / 2, every >= features / 2]
    last = np.array([*ends, every / max(1, features - 1), np.round(every * 255 / features) / 255], np.float32)
    past = np.repeat(last[::-1, None], windows, axis=1)
    past[:, -1] = last
    lengths = np.array([windows, 1, windows, 2, windows // 2, 1, windows - 1, 3])
    mask = (np.arange(windows) >= windows - lengths[:, None]).astype(np.float32)
    return past * mask[:, :, None], mask


def numbers(array):
    """Nine digits, by which a float32 is known."""
    return [float(f"{value:.9g}") for value in np.asarray(array, np.float64).ravel()]


def of(inputs, outputs):
    rows = inputs.get("features", inputs.get("sequence"))
    made = {"rows": [numbers(row) for row in rows]}
    if "mask" in inputs:
        made["masks"] = [[int(there) for there in mask] for mask in inputs["mask"]]
    made["scores"] = numbers(outputs["score"])
    if "errors" in outputs:
        made["errors"] = [numbers(errors) for errors in outputs["errors"]]
    return made
