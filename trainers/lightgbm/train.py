"""Eider's LightGBM trainer: a binary classifier as ONNX. docs/trainers.md describes the contract it keeps."""

import hashlib
import json
import os
import signal
from pathlib import Path

import numpy as np

TRY_AGAIN = 75
GOLDEN_ROWS = 256
PROGRESS_STEPS = 20
PROBE_ROWS = 4000
DIFFERENCE_MAX = 1e-6
THREADS = 2


def say(text):
    print(text, flush=True)


def fit(lgb, inputs, labels, parameters, seed):
    """Deterministic: threads, row order and every seed are fixed, and LightGBM is asked to keep its sums in order."""
    rounds = parameters["num_boost_round"]
    fixed = {
        "objective": "binary", "metric": ["binary_logloss", "auc"], "verbosity": -1, "seed": seed, "deterministic": True,
        "force_row_wise": True, "num_threads": THREADS, "boosting": "gbdt", "zero_as_missing": False,
    }  # fmt: skip
    given = {name: value for name, value in parameters.items() if name != "num_boost_round"}
    booster = lgb.Booster({**given, **fixed}, lgb.Dataset(inputs, labels, params=given | fixed))
    every = max(1, rounds // PROGRESS_STEPS)
    for step in range(1, rounds + 1):
        finished = booster.update()
        if step % every == 0 or step == rounds or finished:
            metric = train_metrics(booster)
            say("progress " + json.dumps({"step": step, "total": rounds, "metric": {"log_loss": metric["log_loss"]}}))
        if finished:
            say(f"no split improves the model any more after {step} rounds")
            break
    return booster


def train_metrics(booster):
    values = {name: float(value) for _, name, value, _ in booster.eval_train()}
    return {"auc": values["auc"], "log_loss": values["binary_logloss"]}


def test_metrics(predictions, labels):
    p = np.clip(predictions, 1e-15, 1 - 1e-15)
    metrics = {
        "log_loss": float(-np.mean(np.where(labels > 0, np.log(p), np.log1p(-p)))),
        "brier": float(np.mean((predictions - labels) ** 2)),
        "calibration_gap": float(np.mean(predictions) - np.mean(labels)),
    }
    positives = int(labels.sum())
    if 0 < positives < len(labels):  # with one class there is no AUC
        # Mann-Whitney: the mean rank of the positives, ties sharing theirs.
        _, inverse, counts = np.unique(predictions, return_inverse=True, return_counts=True)
        rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
        above = rank[labels > 0].sum() - positives * (positives + 1) / 2
        metrics["auc"] = float(above / (positives * (len(labels) - positives)))
    return metrics


def probes(inputs, booster, trees, seed):
    """Rows where a wrong ONNX model would show: holes in every column, and values on and just above thresholds."""
    random = np.random.default_rng(seed)
    rows = inputs[random.integers(0, len(inputs), PROBE_ROWS)]
    columns = random.integers(0, rows.shape[1], PROBE_ROWS)
    rows[np.arange(PROBE_ROWS), columns] = np.nan
    parsed = trees.parse(booster.model_to_string())
    thresholds = np.concatenate([trees.floor32(tree["threshold"]) for tree in parsed])
    features = np.concatenate([tree["split_feature"] for tree in parsed])
    if len(thresholds) == 0:
        return rows
    picked = random.integers(0, len(thresholds), PROBE_ROWS)
    edges = inputs[random.integers(0, len(inputs), PROBE_ROWS)]
    above = np.nextafter(thresholds[picked], np.float32(np.inf))
    edges[np.arange(PROBE_ROWS), features[picked]] = np.where(np.arange(PROBE_ROWS) % 2, above, thresholds[picked])
    return np.concatenate([rows, edges])


def check(model, inputs, expected):
    """The ONNX model must answer as LightGBM does, missing values included."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (answers,) = session.run(["prediction"], {"input": inputs})
    difference = float(np.max(np.abs(answers - expected), initial=0.0))
    say(f"ONNX and LightGBM differ by at most {difference:.2e} over {len(inputs)} rows")
    if not difference <= DIFFERENCE_MAX:
        raise SystemExit(f"the ONNX model answers otherwise than LightGBM: {difference} > {DIFFERENCE_MAX}")


def golden_rows(inputs):
    """Evenly spaced rows, a quarter of them with missing values where there are such."""
    holes = np.flatnonzero(np.isnan(inputs).any(axis=1))
    spaced = lambda rows, count: rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]  # noqa: E731
    with_holes = spaced(holes, GOLDEN_ROWS // 4) if len(holes) else holes
    others = np.setdiff1d(np.arange(len(inputs)), with_holes)
    return np.sort(np.concatenate([with_holes, spaced(others, GOLDEN_ROWS - len(with_holes))])).astype(int)


def golden_table(names, inputs, predictions):
    import pyarrow as pa

    columns = {name: pa.array(inputs[:, index], pa.float32(), from_pandas=True) for index, name in enumerate(names)}
    return pa.table({**columns, "prediction": pa.array(predictions, pa.float32())})


def put(folder, name, data):
    """Whole or not at all: a file that is there is complete."""
    temporary = folder / f".{name}.tmp"
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / name)
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def as_json(value):
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode()


def as_parquet(table):
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none")
    return sink.getvalue().to_pybytes()


def read_splits(environment, job):
    """The splits, or the exit code that says why there are none."""
    import dataset

    place = json.loads(environment["EIDER_TRAINING_SET"])
    try:
        authority = environment.get("EIDER_FLIGHT_CA")
        table = dataset.read(
            environment["EIDER_FLIGHT_URL"],
            [place["project"], "datasets", place["name"]],
            environment.get("EIDER_FLIGHT_KEY"),
            Path(authority).read_bytes() if authority else None,
        )
        return dataset.splits(table, job["inputs"], job["label"], job["split"])
    except dataset.Unreachable as error:
        say(f"{error}")
        raise SystemExit(TRY_AGAIN) from error
    except dataset.Unusable as error:
        raise SystemExit(f"the training set cannot be used: {error}") from error


def import_lightgbm():
    try:
        import lightgbm
    except OSError as error:  # the one library that its wheel does not bring along
        raise SystemExit(f"LightGBM needs OpenMP: apt-get install libgomp1, or brew install libomp ({error})") from error
    return lightgbm


def train(environment):
    lgb = import_lightgbm()
    import trees

    job = json.loads(Path(environment["EIDER_PARAMS"]).read_text("utf-8"))
    names, seed = job["inputs"], int(environment["EIDER_SEED"])
    if "prediction" in names:
        raise SystemExit('no input may be called "prediction": the golden rows use the name')
    parts = read_splits(environment, job)
    (inputs, labels), (test_inputs, test_labels) = parts["train"], parts["test"]
    say(f"{len(inputs)} rows to train on, {len(test_inputs)} held out, {len(names)} inputs, seed {seed}")
    if len(np.unique(labels)) < 2:
        raise SystemExit("the train split must hold both classes")
    booster = fit(lgb, inputs, labels, job["parameters"], seed)
    model = trees.to_onnx(booster, len(names))

    shown = test_inputs if len(test_inputs) else inputs
    predictions = booster.predict(shown, num_threads=THREADS)
    extra = probes(shown, booster, trees, seed)
    extra_predictions = booster.predict(extra, num_threads=THREADS)
    check(model, np.concatenate([shown, extra]), np.concatenate([predictions, extra_predictions]))

    metrics = {
        "train": train_metrics(booster),
        "test": test_metrics(predictions, test_labels) if len(test_inputs) else {},
        "rows": {"train": len(inputs), "test": len(test_inputs)},
    }
    say("metrics " + json.dumps(metrics))
    rows = golden_rows(shown)
    golden = golden_table(names, shown[rows], predictions[rows])
    write_results(environment, names, model, metrics, golden)


def write_results(environment, names, model, metrics, golden):
    signature = {
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, len(names)], "columns": names}],
        "outputs": [{"name": "prediction", "datatype": "FP32", "shape": [-1]}],
    }
    files = {
        "model.onnx": model,
        "metrics.json": as_json(metrics),
        "signature.json": as_json(signature),
        "golden.parquet": as_parquet(golden),
    }
    output = Path(environment["EIDER_OUTPUT"])
    written = {name: put(output, name, data) for name, data in files.items()}
    put(output, "result.json", as_json({"run": environment["EIDER_RUN_ID"], "files": written}))
    say(f"model.onnx has SHA-256 {written['model.onnx']['sha256']}")


if __name__ == "__main__":
    # At once, also in the middle of LightGBM's own code: nothing half-written has a final name.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    train(os.environ)
