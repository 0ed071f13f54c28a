"""Writes a Delta or an Iceberg table, as somebody who is not Eider does: tables.py FORMAT FOLDER FIRST END MODE."""

import datetime
import os
import sys

import pyarrow as pa


def rows(first, end):
    start = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    at = [start + datetime.timedelta(hours=i) for i in range(first, end)]
    return pa.table({"value": pa.array(range(first, end), pa.int64()), "at": pa.array(at, pa.timestamp("us", "UTC"))})


def write_delta(folder, table, mode):
    from deltalake import write_deltalake

    write_deltalake(folder, table, mode=mode)


def write_iceberg(folder, table, mode):
    from pyiceberg.catalog.sql import SqlCatalog

    os.makedirs(folder, exist_ok=True)
    catalog = SqlCatalog("test", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    catalog.create_namespace_if_not_exists("shop")
    target = catalog.create_table_if_not_exists("shop.events", schema=table.schema)
    if mode == "overwrite":
        target.overwrite(table)
    else:
        target.append(table)


format, folder, first, end, mode = sys.argv[1:]
{"delta": write_delta, "iceberg": write_iceberg}[format](folder, rows(int(first), int(end)), mode)
