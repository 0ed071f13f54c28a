"""scikit-learn's own figures of the predictions in a Parquet file, as JSON: overall and by each value of `origin`."""

import json
import sys

import numpy
import pyarrow.parquet
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

BIN_COUNT = 10


def metrics(label, prediction):
    both = 0 < label.sum() < len(label)
    share, mean = calibration_curve(label, prediction, n_bins=BIN_COUNT)
    bins = numpy.searchsorted(numpy.linspace(0, 1, BIN_COUNT + 1)[1:-1], prediction)
    counts = numpy.bincount(bins, minlength=BIN_COUNT)
    counts = counts[counts > 0]
    return {
        "rows": len(label),
        "positives": int(label.sum()),
        "auc": roc_auc_score(label, prediction) if both else None,
        "log_loss": log_loss(label, prediction, labels=[0, 1]),
        "brier": brier_score_loss(label, prediction, pos_label=1),
        "calibration_gap": float(prediction.mean() - label.mean()),
        "calibration_error": float((counts * abs(mean - share)).sum() / counts.sum()),
        "calibration": [list(pair) for pair in zip(mean.tolist(), share.tolist())],
    }


def main(path):
    table = pyarrow.parquet.read_table(path)
    label = table["late"].to_numpy().astype(int)
    # FLOAT predictions are judged in double, clipped as float32 would be: that is what scikit-learn gives for the clipped doubles.
    eps = numpy.finfo(table["p"].to_numpy().dtype).eps
    prediction = table["p"].to_numpy().astype(numpy.float64)
    clipped = numpy.clip(prediction, eps, 1 - eps)
    origin = numpy.array([value or "" for value in table["origin"].to_pylist()])
    answer = {"overall": metrics(label, prediction), "slices": {}}
    answer["overall"]["log_loss"] = log_loss(label, clipped, labels=[0, 1])
    for value in numpy.unique(origin):
        of = origin == value
        answer["slices"][str(value)] = metrics(label[of], prediction[of])
        answer["slices"][str(value)]["log_loss"] = log_loss(label[of], clipped[of], labels=[0, 1])
    json.dump(answer, sys.stdout)


main(sys.argv[1])
