"""The same point-in-time join by our SQL and by Feast's DuckDB store, in turns, each to a pyarrow table; prints the seconds of each."""

import json
import os
import sys
import time
from datetime import timedelta

os.environ["FEAST_USAGE"] = "False"

import duckdb
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

task = json.loads(sys.argv[1])
config = RepoConfig(
    project="bench",
    provider="local",
    registry=os.path.join(task["folder"], "registry.db"),
    offline_store={"type": "duckdb"},
    online_store={"type": "sqlite", "path": os.path.join(task["folder"], "online.db")},
    entity_key_serialization_version=3,
)
store = FeatureStore(config=config)
origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING)
weather = FeatureView(
    name="weather",
    entities=[origin],
    ttl=timedelta(days=1),
    schema=[Field(name=name, dtype=Float64) for name in task["features"]],
    source=FileSource(name="weather", path=task["weather"], timestamp_field="event_time"),
)
store.apply([origin, weather])
spine = pd.read_parquet(task["spine"])
refs = [f"weather:{name}" for name in task["features"]]
database = duckdb.connect(config={"threads": os.cpu_count()})


def ours():
    return database.execute(task["sql"]).to_arrow_table()


def feast():
    return store.get_historical_features(entity_df=spine, features=refs).to_arrow()


seconds = {"ours": [], "feast": []}
tables = {}
for number in range(task["rounds"] + 1):
    for name, work in (("ours", ours), ("feast", feast)):
        started = time.perf_counter()
        tables[name] = work()
        if number > 0:  # The first round warms both.
            seconds[name].append(time.perf_counter() - started)


def sums(table, prefix):
    return [round(pd.to_numeric(table.column(prefix + name).to_pandas()).sum(), 3) for name in task["features"]]


if tables["ours"].num_rows != tables["feast"].num_rows or sums(tables["ours"], "weather__") != sums(tables["feast"], ""):
    raise SystemExit("The joins differ.")
print(json.dumps(seconds))
