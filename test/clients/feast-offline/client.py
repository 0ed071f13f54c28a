"""Feast as it is, with its offline store at Flight and, beside it, its own over a file of the same rows.

python client.py FOLDER HOST PORT: one JSON object a line asks, one answers.
"""

import json
import logging
import os
import sys
import warnings
from datetime import datetime, timedelta, timezone

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import pandas as pd  # noqa: E402
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType  # noqa: E402
from feast.types import Float64, Int64, String  # noqa: E402

FOLDER, HOST, PORT = sys.argv[1:4]
OFFLINE = {"remote": f"{{type: remote, host: {HOST}, port: {PORT}}}", "local": "{type: duckdb}"}
source = FileSource(
    name="price", path=os.path.join(FOLDER, "price.parquet"), timestamp_field="event_time", created_timestamp_column="known_at"
)
shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT64)
schema = [Field(name="shop", dtype=Int64), Field(name="value", dtype=Float64), Field(name="name", dtype=String)]
price = FeatureView(name="price", entities=[shop], ttl=timedelta(hours=3), schema=schema, source=source)
other = FeatureView(name="nothing", entities=[shop], ttl=timedelta(0), schema=schema, source=source)
service = FeatureService(name="offers", features=[price])


def open_store(kind):
    folder = os.path.join(FOLDER, f"repo-{kind}")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "feature_store.yaml"), "w") as file:
        file.write(
            f"project: eider\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
            f"online_store: {{type: sqlite, path: online.db}}\noffline_store: {OFFLINE[kind]}\n"
        )
    store = FeatureStore(repo_path=folder)
    store.apply([shop, price, other, service])
    return store


stores = {kind: open_store(kind) for kind in OFFLINE}
START, END = datetime(2026, 1, 3, tzinfo=timezone.utc), datetime(2026, 1, 3, 5, tzinfo=timezone.utc)


def entities(rows):
    frame = pd.DataFrame({
        "request": range(rows),
        "shop": [(i * 7919) % 510 for i in range(rows)],
        "event_timestamp": [pd.Timestamp("2026-01-02", tz="UTC") + pd.Timedelta(seconds=(i * 15485863) % 600000) for i in range(rows)],
    })
    return frame.set_index(pd.Index([f"row {i}" for i in range(rows)]))


def columns_of(frame):
    frame = frame.sort_values("request").reset_index(drop=True)
    return {name: [None if pd.isna(value) else str(value) for value in frame[name]] for name in sorted(frame.columns)}


def do_historical(request):
    features = stores["remote"].get_feature_service("offers") if request.get("service") else ["price:value", "price:name"]
    got = {
        kind: columns_of(
            store.get_historical_features(
                entity_df=entities(request["rows"]), features=features, full_feature_names=request.get("full", False)
            ).to_df()[lambda frame: [name for name in frame.columns if not name.startswith("__index")]]
        )
        for kind, store in stores.items()
    }
    remote, local = got["remote"], got["local"]
    return {
        "columns": list(remote),
        "rows": len(remote["request"]),
        "found": sum(value is not None for value in remote[request.get("feature", "value")]),
        "different": [name for name in local if remote.get(name) != local[name]],
    }


def do_sql(request):
    job = stores["remote"].get_historical_features(entity_df=request["sql"], features=["price:name"])
    return json.loads(job.to_df().to_json(orient="records", date_format="iso"))


def do_pull(request):
    def pulled(store):
        arguments = dict(
            config=store.config, data_source=source, join_key_columns=["shop"], feature_name_columns=["value", "name"],
            timestamp_field="event_time", created_timestamp_column="known_at", start_date=START, end_date=END,
        )
        provider = store._get_provider().offline_store
        job = getattr(provider, request["api"])(**arguments)
        frame = job.to_df()[["shop", "value", "name", "event_time"]]
        frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True)
        return sorted(str(row) for row in frame.itertuples(index=False))

    remote, local = pulled(stores["remote"]), pulled(stores["local"])
    return {"rows": len(remote), "same": remote == local}


def do_refuse(request):
    store = stores["remote"]
    what = request["what"]
    if what == "unknown":
        store.get_historical_features(entity_df=entities(3), features=["nothing:value"]).to_df()
    if what == "write":
        store._get_provider().offline_store.offline_write_batch(store.config, price, __import__("pyarrow").table({"shop": [1]}), None)
    if what == "none":
        store.get_historical_features(entity_df=None, features=["price:value"], start_date=START, end_date=END).to_df()
    return True


def do_types(request):
    store = stores["remote"]
    return list(store._get_provider().offline_store.get_table_column_names_and_types_from_data_source(store.config, source))


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": globals()["do_" + request["do"]](request)}
    except Exception as error:  # Whatever it raises is the answer.
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
