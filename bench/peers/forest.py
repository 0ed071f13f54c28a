"""Writes a boosted forest of the size a trainer leaves (100 trees of 63 leaves over 7 columns), with its own answers to a few rows.

forest.py FOLDER: writes FOLDER/model.onnx and FOLDER/golden.json
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, save

trees, leaves, columns = 100, 63, 7
folder = Path(sys.argv[1])
random = np.random.default_rng(7)
nodes = {name: [] for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing")}
targets = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}


def node(tree, at, mode, feature=0, value=0.0, yes=0, no=0):
    row = (tree, at, feature, mode, value, yes, no, 1)
    for name, cell in zip(nodes, row):
        nodes[name].append(cell)


for tree in range(trees):
    open_leaves, used = [0], 1
    while len(open_leaves) < leaves:
        at = open_leaves.pop(random.integers(len(open_leaves)))
        node(tree, at, "BRANCH_LEQ", int(random.integers(columns)), float(np.float32(random.normal())), used, used + 1)
        open_leaves += [used, used + 1]
        used += 2
    for at in open_leaves:
        node(tree, at, "LEAF")
        for name, cell in zip(targets, (tree, at, 0, float(np.float32(random.normal() / trees)))):
            targets[name].append(cell)

ensemble = helper.make_node(
    "TreeEnsembleRegressor",
    ["input"],
    ["score"],
    domain="ai.onnx.ml",
    n_targets=1,
    nodes_missing_value_tracks_true=nodes.pop("missing"),
    **{f"nodes_{name}": cells for name, cells in nodes.items()},
    **{f"target_{name}": cells for name, cells in targets.items()},
)
flat = helper.make_node("Reshape", ["score", "shape"], ["single"])
sigmoid = helper.make_node("Sigmoid", ["single"], ["prediction"])
graph = helper.make_graph(
    [ensemble, flat, sigmoid],
    "forest",
    [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", columns])],
    [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows"])],
    [helper.make_tensor("shape", TensorProto.INT64, [1], [-1])],
)
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(folder / "model.onnx"))

rows = random.normal(size=(64, columns)).astype(np.float32)
session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
predictions = session.run(["prediction"], {"input": rows})[0]
golden = {"inputs": rows.astype(float).tolist(), "predictions": predictions.astype(float).tolist()}
(folder / "golden.json").write_text(json.dumps(golden))
