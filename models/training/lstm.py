"""
LSTM autoencoder of a host's habits: it packs all windows but the last `JUDGED` into `HIDDEN` numbers and unpacks from
them what those should be, with the spread that this host has. What differs from that is new for the host. Two are
judged together since what is benign and new, as an update, is often over within one.
"""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN = 32
JUDGED = 2
BATCH, STEPS, LEARNING_RATE = 256, 3000, 3e-3
# Of the range of a feature: what hardly ever varied counts as if it varied so much.
SCALE_MIN = 0.1
# Of a standard deviation, so five levels at least: differences below are those of rounding, and of chance.
SPREAD_MIN = 0.2
# Degrees of freedom of Student's t: hosts do surprise now and then, and one surprise must not rule the training.
FREEDOM = 3.0


def initial(features, random):
    def uniform(*shape):
        return random.uniform(-1, 1, shape).astype(np.float32) / np.sqrt(np.float32(HIDDEN))

    return {
        "w": uniform(features + 1, 4 * HIDDEN),
        "r": uniform(HIDDEN, 4 * HIDDEN),
        "b": np.zeros(4 * HIDDEN, np.float32),
        "head": uniform(HIDDEN, 2 * features),
        "head_b": np.zeros(2 * features, np.float32),
    }


def expected(params, inputs):
    """inputs [T, N, K + 1] to mean and spread [T, N, K] of the window after each. Gates in ONNX's order: i, o, f, c."""

    def step(state, x):
        h, c = state
        gates = x @ params["w"] + h @ params["r"] + params["b"]
        i, o, f, g = jnp.split(gates, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((inputs.shape[1], HIDDEN))
    _, hidden = jax.lax.scan(step, (zero, zero), inputs)
    mean, spread = jnp.split(hidden @ params["head"] + params["head_b"], 2, axis=2)
    return mean, jax.nn.softplus(spread) + SPREAD_MIN


def surprises(params, standard, sequence, mask):
    """
    For every end of a past, so [32 - JUDGED, N, …]: the log-spread that it lets expect, [K]; ln(1 + z²/ν) of the
    `JUDGED` windows after it, summed over those that are there, [K]; and how many are, [1].
    """
    mean_in, scale_in = standard
    z = (sequence - mean_in) / scale_in * mask[:, :, None]
    steps = jnp.concatenate([z, mask[:, :, None]], axis=2).transpose(1, 0, 2)
    ends = len(steps) - JUDGED
    mean, spread = expected(params, steps[:ends])
    total, count = 0, 0
    for after in range(1, JUDGED + 1):
        judged = steps[after : after + ends]
        seen, there = judged[:, :, :-1], judged[:, :, -1:]
        total += jnp.log1p(((seen - mean) / spread) ** 2 / FREEDOM) * there
        count += there
    return jnp.log(spread), total, count


def loss(params, standard, sequence, mask):
    """Of Student's t, per window and feature."""
    log_spread, total, count = surprises(params, standard, sequence, mask)
    each = log_spread * count + (FREEDOM + 1) / 2 * total
    return each.mean(axis=2).sum() / count.sum()


@jax.jit
def errors_of(params, standard, sequence, mask):
    """[N, K] ≥ 0, the mean of the windows that are judged. The score is the mean over the features."""
    _, total, count = surprises(params, standard, sequence, mask)
    return total[-1] / count[-1]


@jax.jit
def adam_step(params, moments, step, standard, sequence, mask):
    value, slope = jax.value_and_grad(loss)(params, standard, sequence, mask)
    norm = jnp.sqrt(sum((s**2).sum() for s in jax.tree.leaves(slope)))
    slope = jax.tree.map(lambda s: s / jnp.maximum(1, norm), slope)
    first = jax.tree.map(lambda m, s: 0.9 * m + 0.1 * s, moments[0], slope)
    second = jax.tree.map(lambda m, s: 0.999 * m + 0.001 * s**2, moments[1], slope)
    rate = LEARNING_RATE * 0.5 * (1 + jnp.cos(jnp.pi * step / STEPS))
    scaled = (1 - 0.999 ** (step + 1)) ** 0.5 / (1 - 0.9 ** (step + 1)) * rate
    params = jax.tree.map(lambda p, m, v: p - scaled * m / (jnp.sqrt(v) + 1e-8), params, first, second)
    return params, (first, second), value


def train(draw, standard, features, seed, tell=print):
    """`draw(count)` gives sequences and masks to learn from."""
    params = initial(features, np.random.default_rng(seed))
    zero = jax.tree.map(np.zeros_like, params)
    moments = (zero, zero)
    losses = []
    for step in range(STEPS):
        params, moments, value = adam_step(params, moments, step, standard, *draw(BATCH))
        losses.append(float(value))
        if (step + 1) % 500 == 0:
            tell(f"lstm: step {step + 1}, loss {np.mean(losses[-500:]):.4f}")
    return jax.tree.map(np.asarray, params), float(np.mean(losses[-500:]))


def to_onnx(params, standard, windows):
    """The same as an ONNX graph, with the standardisation inside and the LSTM operator."""
    features = len(standard[0])
    given = {
        "mean": standard[0],
        "scale": standard[1],
        "W": params["w"].T[None],
        "R": params["r"].T[None],
        "B": np.concatenate([params["b"], np.zeros(4 * HIDDEN)])[None],
        "H": params["head"],
        "Hb": params["head_b"],
        "spread_min": np.array([SPREAD_MIN]),
        "freedom": np.array([FREEDOM]),
        "one": np.array([1]),
    }
    given = {name: np.ascontiguousarray(value, np.float32) for name, value in given.items()}
    given |= {
        name: np.array(value, np.int64)
        for name, value in {
            "axis0": [0],
            "axis1": [1],
            "axis2": [2],
            "start": [0],
            "past": [windows - JUDGED],
            "end": [windows],
            "halves": [features, features],
        }.items()
    }
    node = helper.make_node
    nodes = [
        node("Sub", ["sequence", "mean"], ["centred"]),
        node("Div", ["centred", "scale"], ["scaled"]),
        node("Unsqueeze", ["mask", "axis2"], ["there"]),
        node("Mul", ["scaled", "there"], ["z"]),
        node("Concat", ["z", "there"], ["steps"], axis=2),
        node("Slice", ["steps", "start", "past", "axis1"], ["before"]),
        node("Transpose", ["before"], ["in_time"], perm=[1, 0, 2]),
        node("LSTM", ["in_time", "W", "R", "B"], ["", "hidden"], hidden_size=HIDDEN),
        node("Squeeze", ["hidden", "axis0"], ["code"]),
        node("Gemm", ["code", "H", "Hb"], ["decoded"]),
        node("Split", ["decoded", "halves"], ["expected_flat", "soft_in"], axis=1),
        node("Unsqueeze", ["expected_flat", "axis1"], ["expected"]),
        node("Softplus", ["soft_in"], ["soft"]),
        node("Add", ["soft", "spread_min"], ["spread_flat"]),
        node("Unsqueeze", ["spread_flat", "axis1"], ["spread"]),
        node("Slice", ["z", "past", "end", "axis1"], ["seen"]),
        node("Slice", ["there", "past", "end", "axis1"], ["judged"]),
        node("Sub", ["seen", "expected"], ["off"]),
        node("Div", ["off", "spread"], ["spreads_off"]),
        node("Mul", ["spreads_off", "spreads_off"], ["squared"]),
        node("Div", ["squared", "freedom"], ["shared"]),
        node("Add", ["shared", "one"], ["above_one"]),
        node("Log", ["above_one"], ["surprise"]),
        node("Mul", ["surprise", "judged"], ["surprise_there"]),
        node("ReduceSum", ["surprise_there", "axis1"], ["total"], keepdims=0),
        node("ReduceSum", ["judged", "axis1"], ["count"], keepdims=0),
        node("Div", ["total", "count"], ["errors"]),
        node("ReduceMean", ["errors"], ["score"], axes=[1], keepdims=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "lstm_autoencoder",
        [
            value("sequence", TensorProto.FLOAT, ["N", windows, features]),
            value("mask", TensorProto.FLOAT, ["N", windows]),
        ],
        [value("score", TensorProto.FLOAT, ["N", 1]), value("errors", TensorProto.FLOAT, ["N", features])],
        [numpy_helper.from_array(array, name) for name, array in given.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="weir")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
