"""Feast as people use it, told what to do by one JSON object a line on stdin and answering each by one on stdout.

python client.py FOLDER URL: FOLDER/repo-remote has an online store of type `remote` at URL, FOLDER/repo-local one of Feast's
own in SQLite; both keep their registry in a file and have the definitions of rides.py over FOLDER/data.
"""

import io
import json
import logging
import os
import sys
import warnings
from contextlib import redirect_stdout
from datetime import datetime

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pandas as pd  # noqa: E402
from feast import FeatureStore  # noqa: E402
from feast.data_source import PushMode  # noqa: E402
from rides import definitions  # noqa: E402

FOLDER, URL = sys.argv[1:3]
ONLINE = {"remote": f"{{type: remote, path: '{URL}'}}", "local": "{type: sqlite, path: online.db}"}


def open_store(kind):
    folder = os.path.join(FOLDER, f"repo-{kind}")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "feature_store.yaml"), "w") as file:
        file.write(
            f"project: rides\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
            f"online_store: {ONLINE[kind]}\noffline_store: {{type: dask}}\n"
        )
    store = FeatureStore(repo_path=folder)
    store.apply(definitions(os.path.join(FOLDER, "data")))
    return store


stores = {}


def store_of(request):
    kind = request.get("store", "remote")
    if kind not in stores:
        stores[kind] = open_store(kind)
    return stores[kind]


def do_apply(request):
    return sorted(view.name for view in store_of(request).list_feature_views())


def do_get(request):
    store = store_of(request)
    service = request.get("service")
    features = store.get_feature_service(service) if service else request["features"]
    answer = store.get_online_features(
        features=features,
        entity_rows=request["rows"],
        full_feature_names=request.get("full", False),
        include_feature_view_version_metadata=request.get("versions", False),
    )
    metadata = answer.proto.metadata.feature_view_metadata
    return {
        "values": answer.to_dict(),
        "statuses": [[int(status) for status in column.statuses] for column in answer.proto.results],
        "versions": {view.name: view.version for view in metadata},
    }


def frame(request):
    df = pd.DataFrame(request["df"])
    for column in request.get("times", ["event_timestamp", "created"]):
        if column in df:
            df[column] = pd.to_datetime(df[column], format="ISO8601", utc=True)
    return df


def do_write(request):
    store_of(request).write_to_online_store(request["view"], df=frame(request))


def do_push(request):
    store_of(request).push(request["view"], frame(request), to=PushMode.ONLINE)


def do_materialize(request):
    store_of(request).materialize(
        start_date=datetime.fromisoformat(request["start"]),
        end_date=datetime.fromisoformat(request["end"]),
        feature_views=request.get("views"),
        **request.get("options", {}),
    )


def do_materialize_incremental(request):
    end = datetime.fromisoformat(request["end"])
    store_of(request).materialize_incremental(end_date=end, feature_views=request.get("views"), **request.get("options", {}))


for line in sys.stdin:
    request = json.loads(line)
    try:
        with redirect_stdout(io.StringIO()):
            answer = {"ok": globals()["do_" + request["do"]](request)}
    except Exception as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
