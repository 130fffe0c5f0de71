"""From scores to p-values: how many benign windows of hosts that the model never saw look at least so strange."""

import numpy as np

from rows import LEVEL_MAX

# The highest scores stand in the table one by one: p-values are exact where they matter.
TAIL = 500
# Below them, of so many quantiles each.
QUANTILES = 200
# The table's scores stand a little above those seen: one that another runtime makes 1e-7 larger is still their equal.
SCORE_STEP = 1e-6


def table(scores):
    """`scores` ascending, from 0 on; `at_least[i]` of the windows scored `scores[i]` or more."""
    n = len(scores)
    seen = np.sort(scores).astype(np.float64)
    above = (np.floor(seen / SCORE_STEP) + 2) * SCORE_STEP
    coarse = np.linspace(0, max(0, n - TAIL), QUANTILES, endpoint=False).astype(int)
    edges = np.unique(above[np.concatenate([coarse, np.arange(max(0, n - TAIL), n)])].round(6))
    edges = np.concatenate([[0.0], edges])
    at_least = (n - np.searchsorted(seen, edges, side="left")) / n
    return {"windows": n, "scores": edges.tolist(), "at_least": at_least.round(9).tolist()}


def p_values(calibration, scores):
    """Conformal: (1 + windows at least so strange) / (1 + windows), as src/inference/p-value.ts reads the table."""
    edges, n = np.array(calibration["scores"]), calibration["windows"]
    below = np.searchsorted(edges, scores, side="right") - 1
    return (1 + np.round(np.array(calibration["at_least"])[below] * n)) / (1 + n)


def histogram(values):
    """By decile; fewer parts where many values are the same."""
    edges = np.unique(np.quantile(values, np.arange(1, 10) / 10, method="higher"))
    shares = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) / len(values)
    return edges, shares


def drift(scores, levels, names):
    """Edges stand half a level above the deciles, so that no rounding moves a level across one."""
    features = {}
    for name, column in zip(names, levels.T):
        edges = np.unique(np.quantile(column, np.arange(1, 10) / 10, method="higher")) + 0.5
        edges = edges[edges < LEVEL_MAX]
        shares = np.bincount(np.searchsorted(edges, column), minlength=len(edges) + 1) / len(column)
        features[name] = {"edges": (edges / LEVEL_MAX).round(6).tolist(), "shares": shares.round(6).tolist()}
    edges, shares = histogram(scores)
    return {"score": {"edges": edges.round(6).tolist(), "shares": shares.round(6).tolist()}, "features": features}
