"""Isolation forest (Liu, Ting and Zhou 2008): how few random cuts set a window apart from benign ones."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import IsolationForest

TREES, SAMPLES = 100, 256


def train(windows, seed):
    return IsolationForest(n_estimators=TREES, max_samples=SAMPLES, random_state=seed, n_jobs=1).fit(windows)


def scores(forest, windows):
    """[N], 2^(-E[h] / c(samples)): higher is stranger."""
    return -forest.score_samples(windows)


def average_depth(n):
    """c(n): of an unsuccessful search in a binary tree of n, as scikit-learn counts it."""
    n = np.asarray(n, np.float64)
    harmonic = np.log(np.maximum(n - 1, 1)) + np.euler_gamma
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, 2 * harmonic - 2 * (n - 1) / np.maximum(n, 1)))


def round_down(threshold):
    """float32, never above: inputs are float32, so `x <= threshold` stays what it was."""
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def to_onnx(forest, features):
    """All trees in one node: several times as fast as one per tree. A leaf weighs its depth + c(its samples)."""
    nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")}
    leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for t, (estimator, columns) in enumerate(zip(forest.estimators_, forest.estimators_features_)):
        tree = estimator.tree_
        is_leaf = tree.children_left == -1
        depth = np.zeros(tree.node_count)
        for i in np.flatnonzero(~is_leaf):  # parents stand before children
            depth[[tree.children_left[i], tree.children_right[i]]] = depth[i] + 1
        nodes["treeids"] += [t] * tree.node_count
        nodes["nodeids"] += range(tree.node_count)
        nodes["featureids"] += np.where(is_leaf, 0, columns[np.maximum(tree.feature, 0)]).tolist()
        nodes["modes"] += np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist()
        nodes["values"] += np.where(is_leaf, 0, round_down(tree.threshold)).tolist()
        nodes["truenodeids"] += np.where(is_leaf, 0, tree.children_left).tolist()
        nodes["falsenodeids"] += np.where(is_leaf, 0, tree.children_right).tolist()
        ends = np.flatnonzero(is_leaf)
        leaves["treeids"] += [t] * len(ends)
        leaves["nodeids"] += ends.tolist()
        leaves["ids"] += [0] * len(ends)
        leaves["weights"] += (depth[ends] + average_depth(tree.n_node_samples[ends])).tolist()
    attributes = {f"nodes_{key}": value for key, value in nodes.items()}
    attributes |= {f"target_{key}": value for key, value in leaves.items()}
    scale = -1 / (len(forest.estimators_) * average_depth(forest.max_samples_))
    graph = helper.make_graph(
        [
            helper.make_node(
                "TreeEnsembleRegressor",
                ["features"],
                ["depth"],
                domain="ai.onnx.ml",
                n_targets=1,
                aggregate_function="SUM",
                post_transform="NONE",
                **attributes,
            ),
            helper.make_node("Mul", ["depth", "scale"], ["exponent"]),
            helper.make_node("Pow", ["two", "exponent"], ["score"]),
        ],
        "isolation_forest",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", features])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1])],
        [
            numpy_helper.from_array(np.array([scale], np.float32), "scale"),
            numpy_helper.from_array(np.array([2], np.float32), "two"),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="weir")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
