"""The definitions of rides.ts in Feast's words: the same files, entities, views and service."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Bool, Float32, Float64, Int64, String, UnixTimestamp


def definitions(folder):
    def rows(name):
        return FileSource(
            name=f"{name}_file",
            path=f"{folder}/{name}.parquet",
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )

    def view(name, entities, fields, source, ttl=timedelta(0)):
        schema = [Field(name=column, dtype=dtype) for column, dtype in fields.items()]
        return FeatureView(name=name, entities=entities, ttl=ttl, schema=schema, source=source)

    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    stats = {
        "driver_id": Int64,
        "conv_rate": Float32,
        "acc_rate": Float64,
        "trips": Int64,
        "balance": Int64,
        "note": String,
        "active": Bool,
        "last_seen": UnixTimestamp,
    }
    # Feast gives push sources names of their own; in Eider a view is its own.
    driver_stats = view("driver_stats", [driver], stats, PushSource(name="driver_stats", batch_source=rows("driver_stats")))
    driver_day = view("driver_day", [driver], {"driver_id": Int64, "trips": Int64}, rows("driver_day"), timedelta(days=1))
    pair = {"driver_id": Int64, "customer_id": String, "rides": Int64, "rating": Float64}
    pair_stats = view("pair_stats", [driver, customer], pair, rows("pair_stats"))
    fleet = view("fleet", [], {"price": Float64}, rows("fleet"))
    ride_inputs = FeatureService(
        name="ride_inputs",
        features=[
            driver_stats[["conv_rate", "trips"]],
            pair_stats[["rides"]].with_name("pair").with_join_key_map({"driver_id": "who"}),
            fleet,
        ],
    )
    return [driver, customer, driver_stats, driver_day, pair_stats, fleet, ride_inputs]
