"""Feast on this machine: applies views over Parquet files, materializes them into SQLite and prints the seconds of each; the folder can then be served."""

import json
import os
import sys
import time
from datetime import datetime, timedelta, timezone

os.environ["FEAST_USAGE"] = "False"

from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType

task = json.loads(sys.argv[1])
folder = task["folder"]
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "feature_store.yaml"), "w") as config:
    config.write(
        f"""project: bench
provider: local
registry: {folder}/registry.db
offline_store: {{type: duckdb}}
online_store: {{type: sqlite, path: {folder}/online.db}}
entity_key_serialization_version: 3
"""
    )
store = FeatureStore(repo_path=folder)
user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
views = [
    FeatureView(
        name=view["name"],
        entities=[user],
        ttl=timedelta(days=36500),
        schema=[Field(name=name, dtype=Float64) for name in view["features"]],
        source=FileSource(name=view["name"], path=view["path"], timestamp_field="event_time"),
    )
    for view in task["views"]
]
store.apply([user, *views])
seconds = {}
for view in views:
    started = time.perf_counter()
    store.materialize(datetime(2000, 1, 1, tzinfo=timezone.utc), datetime(2002, 1, 1, tzinfo=timezone.utc), [view.name])
    seconds[view.name] = time.perf_counter() - started
print("\n" + json.dumps(seconds))
