"""The same calls of Feast on its own online store and on Eider's, with rows that arrive after their day.

python late_data.py FOLDER URL prints, for each store, the share of the late rows and of all drivers that are online as the
file has them.
"""

import io
import json
import logging
import os
import sys
import warnings
from contextlib import redirect_stdout
from datetime import datetime, timedelta

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import pandas as pd  # noqa: E402
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType  # noqa: E402
from feast.types import Int64  # noqa: E402

FOLDER, URL = sys.argv[1:3]
FILE = os.path.join(FOLDER, "data", "late_trips.parquet")
DRIVERS, LATE, FRESH = 2000, 20, 180
MONDAY = datetime(2026, 1, 5)


def day(number):
    return MONDAY + timedelta(days=number)


def rows(drivers, event, arrived, trips):
    return pd.DataFrame(
        {
            "driver_id": list(drivers),
            "event_timestamp": pd.Timestamp(event, tz="UTC"),
            "created": pd.Timestamp(arrived, tz="UTC"),
            "trips": [trips + driver for driver in drivers],
        }
    )


def write(frame):
    frame.to_parquet(FILE + ".new", coerce_timestamps="us", index=False)
    os.replace(FILE + ".new", FILE)


def open_store(name, online):
    folder = os.path.join(FOLDER, f"late-{name}")
    os.makedirs(folder)
    with open(os.path.join(folder, "feature_store.yaml"), "w") as file:
        file.write(
            "project: rides\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
            f"online_store: {online}\noffline_store: {{type: dask}}\n"
        )
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="late_trips",
        entities=[driver],
        ttl=timedelta(0),
        schema=[Field(name="driver_id", dtype=Int64), Field(name="trips", dtype=Int64)],
        source=FileSource(path=FILE, timestamp_field="event_timestamp", created_timestamp_column="created"),
    )
    store = FeatureStore(repo_path=folder)
    store.apply([driver, view])
    return store


def recall(store, truth, drivers):
    entities = [{"driver_id": driver} for driver in drivers]
    answer = store.get_online_features(features=["late_trips:trips"], entity_rows=entities).to_dict()
    return sum(truth[driver] == trips for driver, trips in zip(answer["driver_id"], answer["trips"])) / len(entities)


def main():
    on_time = rows(range(DRIVERS), event=day(0), arrived=day(0), trips=0)
    write(on_time)
    stores = {
        "feast": open_store("feast", "{type: sqlite, path: online.db}"),
        "eider": open_store("eider", f"{{type: remote, path: '{URL}'}}"),
    }
    for store in stores.values():
        store.materialize(day(0) - timedelta(days=1), day(3))

    # Of Tuesday, but they arrive on Friday; and rows of Friday that arrive in time.
    late = rows(range(LATE), event=day(1), arrived=day(4), trips=10_000)
    fresh = rows(range(LATE, LATE + FRESH), event=day(4), arrived=day(4), trips=20_000)
    everything = pd.concat([on_time, late, fresh])
    write(everything)
    for store in stores.values():
        store.materialize_incremental(day(5))

    newest = everything.sort_values("event_timestamp").groupby("driver_id").tail(1)
    truth = dict(zip(newest["driver_id"], newest["trips"]))
    return {
        name: {
            "late": recall(store, truth, range(LATE)),
            "fresh": recall(store, truth, range(LATE, LATE + FRESH)),
            "all": recall(store, truth, range(DRIVERS)),
        }
        for name, store in stores.items()
    }


with redirect_stdout(io.StringIO()):
    found = main()
print(json.dumps(found))
