"""Training rows: NDJSON as `weir features` writes it, one line per closed window of a host. See README.md."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import forest

PROJECT = Path(__file__).resolve().parents[2]
SEED = 20260101
LEVEL_MAX = 255
LABELS = {"benign": 0, "attack": 1, None: -1}
BENIGN, ATTACK = 0, 1
# Of hosts as many each: what a p-value is worth depends on how many hosts calibrated it, and learning needs fewer.
PARTS = ("train", "calibrate", "test")
# Of what is drawn to learn from, other people's captures: few windows, but of real hosts.
CAPTURES_SHARE = 0.1


@dataclass(frozen=True)
class Rows:
    """R windows. `before[r]`: the rows of the same host up to r, the oldest first, -1 where there was none yet."""

    sources: list[str]
    generated: np.ndarray  # of sources, bool
    files: list[tuple[str, int, str]]  # name, rows, SHA-256
    source: np.ndarray  # [R], index of sources
    host: np.ndarray  # [R], number of (source, host)
    host_names: list[tuple[int, str]]
    levels: np.ndarray  # [R, features] uint8
    label: np.ndarray  # [R], as LABELS
    before: np.ndarray  # [R, windows kept] int32


def feature_table():
    """What src/core/features says, by running it: windows and features have one description."""
    script = (
        'import { features, windowMs, windowsKept } from "./src/core/features/features.ts";'
        "console.log(JSON.stringify({ windowS: windowMs / 1000, windowsKept, features }));"
    )
    node = [PROJECT / "node_modules/.bin/node", "--no-warnings", "--input-type=module", "-e", script]
    return json.loads(subprocess.run(node, cwd=PROJECT, check=True, capture_output=True).stdout)


def read_rows(scenes, captures, windows_kept):
    """`scenes` are files of generated traffic, `captures` of other people's, which no golden vector comes from."""
    sources, hosts, generated, files = {}, {}, [], []
    source, host, levels, label, before = [], [], [], [], []
    recent = []  # of hosts
    for path in [*scenes, *captures]:
        data = Path(path).read_bytes()
        lines = data.splitlines()
        files.append((Path(path).name, len(lines), hashlib.sha256(data).hexdigest()))
        for line in lines:
            row = json.loads(line)
            s = sources.setdefault(row["source"], len(sources))
            if s == len(generated):
                generated.append(path in scenes)
            h = hosts.setdefault((s, row["host"]), len(hosts))
            if h == len(recent):
                recent.append([])
            recent[h] = [*recent[h], len(source)][-windows_kept:]
            source.append(s)
            host.append(h)
            levels.append(row["vector"])
            label.append(LABELS[row["label"]])
            before.append([-1] * (windows_kept - len(recent[h])) + recent[h])
    return Rows(
        list(sources),
        np.array(generated),
        files,
        np.array(source),
        np.array(host),
        list(hosts),
        np.array(levels, np.uint8),
        np.array(label),
        np.array(before, np.int32),
    )


def parts_of(rows):
    """
    [R] names of PARTS. By host: the windows of one host are alike, so a part must not know another's hosts. They are
    dealt by how strange their windows are on the whole to a forest over all features, to and fro: two dozen mail relays
    are as much of the upper tail as a thousand other hosts, and each part needs its share of them.
    """
    windows = last_windows(rows, np.arange(len(rows.levels)), np.arange(rows.levels.shape[1]))
    strange = forest.scores(forest.train(windows, SEED), windows)
    of_host = np.bincount(rows.host, weights=strange) / np.bincount(rows.host)
    part = np.empty(len(of_host), object)
    for i, h in enumerate(np.argsort(of_host, kind="stable")):
        part[h] = [*PARTS, *PARTS[::-1]][i % (2 * len(PARTS))]
    return part[rows.host]


def balanced(rows, among, count, random):
    """`count` of these rows, with repetition. A source weighs as the root of its rows, so that none drowns another."""
    per_source = np.bincount(rows.source[among], minlength=len(rows.sources))
    weights = 1 / np.sqrt(per_source[rows.source[among]])
    is_generated = rows.generated[rows.source[among]]
    shares = ((is_generated, 1 - CAPTURES_SHARE), (~is_generated, CAPTURES_SHARE))
    for chosen, share in shares:
        if chosen.any():
            weights[chosen] *= share / weights[chosen].sum()
    return random.choice(among, size=count, p=weights / weights.sum())


def last_windows(rows, indices, columns):
    """[N, F] float32, what a model of one window takes."""
    return rows.levels[indices][:, columns].astype(np.float32) / np.float32(LEVEL_MAX)


def sequences(rows, indices, columns):
    """[N, windows kept, K] float32 and the mask [N, windows kept]: padding first."""
    before = rows.before[indices]
    mask = (before >= 0).astype(np.float32)
    values = rows.levels[before][:, :, columns].astype(np.float32) / np.float32(LEVEL_MAX)
    return values * mask[:, :, None], mask
