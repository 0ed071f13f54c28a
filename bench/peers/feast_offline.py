"""Feast's client with a remote offline store: ours and Feast's own server, in turns; prints the seconds of each as one JSON line.

python feast_offline.py TASK, TASK a JSON object: folder (with `own`, the repository that Feast's server serves), path, features, days, rows,
rounds, ports.
"""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta

os.environ["FEAST_USAGE"] = "False"

import numpy as np
import pandas as pd
import pyarrow.flight as flight
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType

task = json.loads(sys.argv[1])
user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
events = FeatureView(
    name="user_events",
    entities=[user],
    ttl=timedelta(days=36500),
    schema=[Field(name=name, dtype=Float64) for name in task["features"]],
    source=FileSource(name="user_events", path=task["path"], timestamp_field="event_time"),
)


def repository(name, offline, project):
    folder = os.path.join(task["folder"], name)
    os.makedirs(folder)
    with open(os.path.join(folder, "feature_store.yaml"), "w") as config:
        config.write(
            f"project: {project}\nprovider: local\nregistry: {folder}/registry.db\nentity_key_serialization_version: 3\n"
            f"online_store: {{type: sqlite, path: {folder}/online.db}}\noffline_store: {offline}\n"
        )
    store = FeatureStore(repo_path=folder)
    store.apply([user, events])
    return folder, store


def remote(port):
    return f"{{type: remote, host: 127.0.0.1, port: {port}}}"


own, _ = repository("own", "{type: duckdb}", "bench")
command = [os.path.join(os.path.dirname(sys.executable), "feast"), "-c", own, "serve_offline", "-h", "127.0.0.1", "-p", str(task["ports"]["feast"])]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            list(flight.connect(f"grpc://127.0.0.1:{task['ports']['feast']}").list_actions())
            break
        except flight.FlightUnavailableError:
            time.sleep(0.2)
    stores = {
        "ours": repository("ours", remote(task["ports"]["ours"]), "eider")[1],
        "feast": repository("feast", remote(task["ports"]["feast"]), "bench")[1],
    }
    number = np.arange(task["rows"])
    spine = pd.DataFrame(
        {
            "user_id": number * 7919 % task["keys"],
            "event_timestamp": pd.Timestamp("2001-01-02", tz="UTC") + pd.to_timedelta(number * 104729 % ((task["days"] - 1) * 86_400), unit="s"),
        }
    )
    seconds, sums = {name: [] for name in stores}, {}
    for round_number in range(task["rounds"] + 1):
        for name, store in stores.items():
            started = time.perf_counter()
            table = store.get_historical_features(entity_df=spine, features=[f"user_events:{one}" for one in task["features"]]).to_arrow()
            if round_number > 0:  # The first round warms both.
                seconds[name].append(time.perf_counter() - started)
            sums[name] = [table.num_rows] + [round(pd.to_numeric(table.column(one).to_pandas()).sum(), 2) for one in task["features"]]
    if sums["ours"] != sums["feast"]:
        raise SystemExit(f"the answers differ: {sums}")
finally:
    server.kill()
print(json.dumps(seconds))
