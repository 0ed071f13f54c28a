"""Asks an inference server with NVIDIA's own client, in every way it can send a tensor, and prints one JSON object.

client.py HOST:PORT MODEL VERSION
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

address, model, version = sys.argv[1:]
client = triton.InferenceServerClient(address)
rows = np.array([[1, 2, 3], [0.5, -4, 2]], np.float32)


def infer(values, datatype, binary_in, outputs, model_version="", **more):
    tensor = triton.InferInput("input", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary_in)
    result = client.infer(model, [tensor], outputs=outputs, model_version=model_version, **more)
    answer = result.get_response()
    return {
        "version": answer["model_version"],
        "id": answer["id"],
        "binary": "data" not in answer["outputs"][0],
        "prediction": result.as_numpy("prediction").astype(float).tolist(),
    }


def failure(work):
    try:
        work()
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    return None


wanted = lambda binary: [triton.InferRequestedOutput("prediction", binary_data=binary)]
missing = np.array([[np.nan, 2, 3]], np.float32)
print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "modelReady": client.is_model_ready(model),
            "versionReady": client.is_model_ready(model, version),
            "otherReady": client.is_model_ready("other"),
            "server": client.get_server_metadata(),
            "model": client.get_model_metadata(model, version),
            "byDefault": infer(rows, "FP32", True, None, request_id="mine"),
            "json": infer(rows, "FP32", False, wanted(False)),
            "jsonInBinaryOut": infer(rows, "FP32", False, wanted(True)),
            "doubles": infer(rows.astype(np.float64), "FP64", True, wanted(True)),
            "whole": infer(np.array([[1, 2, 3]], np.int64), "INT64", True, wanted(False)),
            "missing": infer(missing, "FP32", True, None),
            "version": infer(rows, "FP32", True, None, model_version=version),
            "gzip": infer(rows, "FP32", True, None, request_compression_algorithm="gzip"),
            "deflate": infer(rows, "FP32", False, None, request_compression_algorithm="deflate"),
            "parameters": infer(rows, "FP32", True, None, parameters={"event_time": "2001-03-05T10:00:00Z"}),
            "wrongShape": failure(lambda: infer(rows[:, :2], "FP32", True, None)),
            "unknownModel": failure(lambda: client.get_model_metadata("other")),
        }
    )
)
