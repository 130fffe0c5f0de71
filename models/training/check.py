"""
Checks the folders as they are: `python check.py SCENES.ndjson… [--captures ROWS.ndjson…]`, the rows that made them. Golden vectors through ONNX Runtime, within 1e-5; and of the benign windows of the test hosts,
which neither trained nor calibrated, 0.5 % to 1.5 % with p ≤ 0.01. Ends with 1 where it is not so.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime

from calibrate import p_values
from rows import BENIGN, feature_table, last_windows, parts_of, read_rows, sequences

PARITY_MAX = 1e-5
P_MAX, SHARE_MIN, SHARE_MAX = 0.01, 0.005, 0.015


def of_golden(golden, windows):
    rows = np.array(golden["rows"], np.float32)
    if windows == 1:
        return {"features": rows}
    return {"sequence": rows.reshape(len(rows), windows, -1), "mask": np.array(golden["masks"], np.float32)}


def golden_difference(session, folder, windows):
    golden = json.loads((folder / "golden.json").read_text())
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, of_golden(golden, windows))))
    apart = [np.abs(outputs["score"][:, 0] - golden["scores"]).max()]
    if "errors" in golden:
        apart.append(np.abs(outputs["errors"] - np.array(golden["errors"])).max())
    return len(golden["scores"]), float(max(apart))


def check(folder, rows, chosen, table):
    data = (folder / "model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    listed = json.loads((folder / "features.json").read_text())
    all_names = [feature["name"] for feature in table["features"]]
    columns = [all_names.index(feature["name"]) for feature in listed["features"]]
    count, apart = golden_difference(session, folder, listed["windows"])
    if listed["windows"] == 1:
        inputs = {"features": last_windows(rows, chosen, columns)}
    else:
        inputs = dict(zip(("sequence", "mask"), sequences(rows, chosen, columns)))
    scores = session.run(["score"], inputs)[0][:, 0]
    share = float((p_values(json.loads((folder / "calibration.json").read_text()), scores) <= P_MAX).mean())
    digest = hashlib.sha256(data).hexdigest()
    is_named = digest in (folder / "card.md").read_text()
    print(f"{folder.name}: SHA-256 {digest}, on its card: {is_named}")
    print(f"  {count} golden rows: largest difference {apart:.2g} (allowed {PARITY_MAX})")
    print(f"  {len(chosen)} benign test windows: {100 * share:.2f} % with p ≤ {P_MAX} (allowed 0.5 % to 1.5 %)")
    return is_named and apart <= PARITY_MAX and SHARE_MIN <= share <= SHARE_MAX


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("scenes", nargs="+")
    arguments.add_argument("--captures", nargs="*", default=[])
    arguments.add_argument("--models", default=Path(__file__).resolve().parents[1], type=Path)
    given = arguments.parse_args()
    table = feature_table()
    rows = read_rows(given.scenes, given.captures, table["windowsKept"])
    chosen = np.flatnonzero((parts_of(rows) == "test") & (rows.label == BENIGN))
    folders = [given.models / name for name in ("isolation-forest", "lstm-autoencoder")]
    raise SystemExit(0 if all([check(folder, rows, chosen, table) for folder in folders]) else 1)


if __name__ == "__main__":
    main()
