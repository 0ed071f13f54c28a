"""Writes a LightGBM binary classifier as an ONNX model: the same trees, the same bytes for the same model."""

import numpy as np
from onnx import TensorProto, checker, helper

LEFT_ON_MISSING = 0b0010
CATEGORICAL = 0b0001
MISSING_ZERO, MISSING_NAN = 1, 2


def floor32(thresholds):
    """The largest float32 not above each threshold: for a float32 x, x <= t is exactly x <= floor32(t)."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float32)


def parse(text):
    """The trees of LightGBM's text format, each as arrays indexed by node."""
    trees = []
    for section in text.split("\nTree=")[1:]:
        lines = section.split("\n\n")[0].splitlines()[1:]
        fields = dict(line.split("=", 1) for line in lines)
        array = lambda name, kind: np.array(fields.get(name, "").split(), dtype=kind)  # noqa: E731
        tree = {name: array(name, np.int64) for name in ("split_feature", "decision_type", "left_child", "right_child")}
        tree["threshold"] = array("threshold", np.float64)
        tree["leaf_value"] = array("leaf_value", np.float64)
        if fields["num_cat"] != "0" or fields.get("is_linear", "0") != "0":
            raise ValueError("only trees with numeric splits and constant leaves can be written")
        trees.append(tree)
    return trees


def nodes_of(index, tree):
    """One tree as ONNX node attributes: splits first (the root is node 0), then leaves."""
    splits, leaves = len(tree["threshold"]), len(tree["leaf_value"])
    kind = tree["decision_type"]
    missing = (kind >> 2) & 3
    if np.any(missing == MISSING_ZERO) or np.any(kind & CATEGORICAL):
        raise ValueError("zero_as_missing and categorical splits cannot be written")
    # Where training saw no NaN in a feature, LightGBM reads one as 0.
    left = np.where(missing == MISSING_NAN, kind & LEFT_ON_MISSING != 0, tree["threshold"] >= 0)
    child = lambda side: np.where(side >= 0, side, splits + ~side)  # noqa: E731  a negative child is a leaf, ~number
    none = np.zeros(leaves, dtype=np.int64)
    return {
        "nodes_treeids": np.full(splits + leaves, index),
        "nodes_nodeids": np.arange(splits + leaves),
        "nodes_featureids": np.concatenate([tree["split_feature"], none]),
        "nodes_values": np.concatenate([floor32(tree["threshold"]), none.astype(np.float32)]),
        "nodes_truenodeids": np.concatenate([child(tree["left_child"]), none]),
        "nodes_falsenodeids": np.concatenate([child(tree["right_child"]), none]),
        "nodes_missing_value_tracks_true": np.concatenate([left.astype(np.int64), none]),
        "target_treeids": np.full(leaves, index),
        "target_nodeids": np.arange(splits, splits + leaves),
        "target_ids": none,
        "target_weights": tree["leaf_value"].astype(np.float32),
    }, ["BRANCH_LEQ"] * splits + ["LEAF"] * leaves


def to_onnx(booster, input_count):
    """input float32 [-1, n] to prediction float32 [-1], the probability of the positive class."""
    parts, modes = [], []
    for index, tree in enumerate(parse(booster.model_to_string())):
        attributes, tree_modes = nodes_of(index, tree)
        parts.append(attributes)
        modes += tree_modes
    ensemble = {name: np.concatenate([part[name] for part in parts]).tolist() for name in parts[0]}
    graph = helper.make_graph(
        nodes=[
            helper.make_node(
                "TreeEnsembleRegressor", ["input"], ["raw"], domain="ai.onnx.ml",
                aggregate_function="SUM", post_transform="NONE", n_targets=1, nodes_modes=modes, **ensemble,
            ),
            helper.make_node("Sigmoid", ["raw"], ["probability"]),
            helper.make_node("Squeeze", ["probability", "axes"], ["prediction"]),
        ],
        name="lightgbm",
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", input_count])],
        outputs=[helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows"])],
        initializer=[helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="eider", producer_version="1")
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)
