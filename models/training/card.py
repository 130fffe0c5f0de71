"""The model card: what a run made, of what, and how good it is. No date: the same run writes the same card."""

import hashlib
from importlib.metadata import version

import numpy as np

from rows import ATTACK, BENIGN, CAPTURES_SHARE, PARTS

P_MAX = 0.01
PACKAGES = ("scikit-learn", "jax", "numpy", "onnx", "onnxruntime")

SUBJECT = {
    "isolation_forest": (
        "Isolation forest: how few random cuts set one window of a host apart from benign windows of all hosts.",
        "score = 2^(−E[h] / c(256)), 0..1; higher is stranger. One `TreeEnsembleRegressor` over all trees.",
        [
            "One window is judged without the host's past, except where a feature carries it.",
            "A feature that never varied in training is never cut: what is new in it alone is not seen.",
            "What is common among the training hosts is not strange, whoever does it.",
            "Mail relays are about as strange as spam bots, day after day.",
            "Its features speak of the outside: what happens inside alone is not seen.",
        ],
    ),
    "lstm_autoencoder": (
        "LSTM autoencoder: packs all but the last two of a host's windows into a code, and unpacks from it what those"
        " two should be, with the spread that this host has.",
        "errors[k] = ln(1 + z²/3), z in spreads of what was expected, mean of the two windows; score = mean over the"
        " features. Higher is stranger. Of a host's first windows, the expectation is that of any host.",
        [
            "A host that was bad from its first window on is its own habit.",
            "A slow change of habit is followed.",
            "A beacon without rhythm is as new as any new poller.",
            "A return to the habit is as new as the change was.",
            "What its features do not say: peers' names, hours of the day, order within a window.",
        ],
    ),
}


def percent(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "–"


def lines_of(rows, part, p):
    """By source: benign windows of all hosts and of test hosts, windows of attacks, and the share that is strange."""
    yield "source", "benign", "p ≤ 0.01", "benign, test", "p ≤ 0.01", "attack", "p ≤ 0.01", "p ≤ 0.001"
    chosen = [(name, rows.source == s) for s, name in enumerate(rows.sources)]
    for name, here in [*chosen, ("all", np.full(len(rows.source), True))]:
        benign, attack = here & (rows.label == BENIGN), here & (rows.label == ATTACK)
        cells = [name]
        for these in (benign, benign & (part == "test"), attack):
            cells += [f"{these.sum()}", percent((these & (p <= P_MAX)).sum(), these.sum())]
        yield (*cells, percent((attack & (p <= P_MAX / 10)).sum(), attack.sum()))


def markdown(lines):
    head, *body = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *body])


def shares(rows, part, p):
    return "\n".join("  " + "  ".join(f"{cell:>14}" for cell in line) for line in lines_of(rows, part, p))


def text(model, rows, part, scores, p, calibration, apart, names, seed):
    what, score, blind = SUBJECT[model.name]
    counts = ", ".join(
        f"{name} {((part == name) & (rows.label == BENIGN)).sum()} windows of "
        f"{len(np.unique(rows.host[(part == name) & (rows.label == BENIGN)]))} hosts"
        for name in PARTS
    )
    threshold = min((s for s, q in zip(scores, p) if q <= P_MAX), default=float("nan"))
    sections = [
        f"# {model.name}",
        "Written by `models/training/train.py`; not to be edited.",
        what + "\n\n" + score,
        f"SHA-256 of model.onnx: `{hashlib.sha256(model.onnx).hexdigest()}` ({len(model.onnx)} bytes)",
        "## Data\n\n" + markdown([("file", "rows", "SHA-256"), *((f, f"{n}", f"`{h}`") for f, n, h in rows.files)]),
        f"Benign windows, by host: {counts}. Windows of attacks train nothing. A source weighs as the root of its"
        f" rows; all captures together {CAPTURES_SHARE:.0%} of what is drawn.",
        "## Training\n\n"
        + markdown(
            [
                ("setting", "value"),
                *((key, f"{value}") for key, value in model.notes.items()),
                ("seed", f"{seed}"),
                ("packages", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
                ("largest difference to the framework, rows", f"{apart['rows']:.2g}"),
                ("largest difference to the framework, golden", f"{apart['golden']:.2g}"),
            ]
        ),
        f"Features: {', '.join(f'`{name}`' for name in names)}. Inputs are levels divided by 255.",
        f"## Calibration\n\n{calibration['windows']} benign windows of hosts that trained nothing. "
        f"p = (1 + windows at least so strange) / (1 + windows). p ≤ {P_MAX} from a score of {threshold:.4f} on.",
        "## Metrics\n\nOn the test hosts, which neither trained nor calibrated; and on all windows of attacks.\n\n"
        + markdown(lines_of(rows, part, p)),
        "## Blind spots\n\n" + "\n".join(f"- {line}" for line in blind),
    ]
    return "\n\n".join(sections) + "\n"
