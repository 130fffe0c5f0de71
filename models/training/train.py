"""Both models from rows: `python train.py SCENES.ndjson… [--captures ROWS.ndjson…] --out ../`. See README.md."""

import os

# One thread: the same sums in the same order, so the same file.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
import onnxruntime

import calibrate
import card
import forest
import golden
import lstm
from rows import BENIGN, SEED, balanced, feature_table, last_windows, parts_of, read_rows, sequences

PARITY_MAX = 1e-5
DRAWN_ROWS = 50_000
# Chosen on scenes of seeds that neither train nor judge: what a host does for the first time, or others hardly do.
FOREST_FEATURES = [
    "outside_peers",
    "sent_share",
    "uncommon_share",
    "new_peer_share",
    "rare_peers",
    "rare_requests",
]
LSTM_FEATURES = [
    "outside_peers",
    "services",
    "sent_bytes",
    "sent_share",
    "udp_share",
    "uncommon_share",
    "new_peer_share",
    "rare_peers",
    "rare_requests",
    "served_requests",
]


@dataclass(frozen=True)
class Model:
    """A trained model: its file, what it takes, and what the training framework makes of inputs."""

    name: str
    onnx: bytes
    columns: list[int]
    windows: int
    inputs: Callable[[np.ndarray], dict]  # of rows, by their indices
    framework: Callable[[dict], dict]  # outputs for inputs
    notes: dict


def train_forest(rows, train, table):
    columns = columns_of(table, FOREST_FEATURES)
    chosen = balanced(rows, train, DRAWN_ROWS, np.random.default_rng(SEED))
    fitted = forest.train(last_windows(rows, chosen, columns), SEED)
    return Model(
        "isolation_forest",
        forest.to_onnx(fitted, len(columns)),
        columns,
        1,
        lambda indices: {"features": last_windows(rows, indices, columns)},
        lambda inputs: {"score": forest.scores(fitted, inputs["features"])},
        {"trees": forest.TREES, "samples a tree": forest.SAMPLES, "windows drawn for training": DRAWN_ROWS},
    )


def train_lstm(rows, train, table):
    columns = columns_of(table, LSTM_FEATURES)
    random = np.random.default_rng(SEED + 1)
    seen = last_windows(rows, balanced(rows, train, DRAWN_ROWS, random), columns)
    standard = (seen.mean(axis=0), np.maximum(seen.std(axis=0), np.float32(lstm.SCALE_MIN)))

    def draw(count):
        return sequences(rows, balanced(rows, train, count, random), columns)

    def framework(inputs):
        errors = np.asarray(lstm.errors_of(params, standard, inputs["sequence"], inputs["mask"]))
        return {"score": errors.mean(axis=1), "errors": errors}

    params, last_loss = lstm.train(draw, standard, len(columns), SEED + 2)
    return Model(
        "lstm_autoencoder",
        lstm.to_onnx(params, standard, table["windowsKept"]),
        columns,
        table["windowsKept"],
        lambda indices: dict(zip(("sequence", "mask"), sequences(rows, indices, columns))),
        framework,
        {
            "hidden": lstm.HIDDEN,
            "windows judged": lstm.JUDGED,
            "steps": lstm.STEPS,
            "batch": lstm.BATCH,
            "last loss": round(last_loss, 4),
        },
    )


def columns_of(table, names):
    all_names = [feature["name"] for feature in table["features"]]
    return [all_names.index(name) for name in names]


def run(onnx, inputs, batch=256):
    """All outputs, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    count = len(next(iter(inputs.values())))
    parts = [
        session.run(names, {key: value[at : at + batch] for key, value in inputs.items()})
        for at in range(0, count, batch)
    ]
    return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts))}


def parity(model, inputs):
    """The largest difference between the file and the training framework."""
    ours, theirs = run(model.onnx, inputs), model.framework(inputs)
    return max(float(np.abs(ours[name].reshape(theirs[name].shape) - theirs[name]).max()) for name in theirs)


def write(folder, name, value):
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":")) + "\n"
    (folder / name).write_text(text)


def finish(model, rows, part, table, out):
    """Checks, calibrates, and writes the folder."""
    folder = out / model.name.replace("_", "-")
    folder.mkdir(parents=True, exist_ok=True)
    everything = model.inputs(np.arange(len(rows.levels)))
    scores = run(model.onnx, everything)["score"][:, 0]
    extremes = golden.inputs_of(model, rows)
    apart = {"rows": parity(model, everything), "golden": parity(model, extremes)}
    if not max(apart.values()) <= PARITY_MAX:
        raise SystemExit(f"{model.name}: {apart} from the training framework, {PARITY_MAX} allowed")
    held_back = np.flatnonzero((part == "calibrate") & (rows.label == BENIGN))
    names = [table["features"][column]["name"] for column in model.columns]
    calibration = calibrate.table(scores[held_back])
    calibration["drift"] = calibrate.drift(scores[held_back], rows.levels[held_back][:, model.columns], names)
    kept = ("name", "unit", "min", "max")
    features = [{key: table["features"][column][key] for key in kept} for column in model.columns]
    (folder / "model.onnx").write_bytes(model.onnx)
    write(folder, "features.json", {"window_s": table["windowS"], "windows": model.windows, "features": features})
    write(folder, "calibration.json", calibration)
    write(folder, "golden.json", golden.of(extremes, model.framework(extremes)))
    p = calibrate.p_values(calibration, scores)
    write(folder, "card.md", card.text(model, rows, part, scores, p, calibration, apart, names, SEED))
    print(f"{model.name}: {hashlib.sha256(model.onnx).hexdigest()}, {len(model.onnx)} bytes, differences {apart}")
    print(card.shares(rows, part, p))


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("scenes", nargs="+", help="rows of generated traffic")
    arguments.add_argument("--captures", nargs="*", default=[], help="rows of other people's captures")
    arguments.add_argument("--out", default="..", type=Path)
    given = arguments.parse_args()
    table = feature_table()
    rows = read_rows(given.scenes, given.captures, table["windowsKept"])
    part = parts_of(rows)
    train = np.flatnonzero((part == "train") & (rows.label == BENIGN))
    for build in (train_forest, train_lstm):
        finish(build(rows, train, table), rows, part, table, given.out)


if __name__ == "__main__":
    main()
