"""Writes a Delta or an Iceberg table, as somebody who is not Eider does: tables.py FORMAT FOLDER FIRST END MODE.

Iceberg also in S3, once: the environment says where that is."""

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


def iceberg_catalog(folder):
    from pyiceberg.catalog.sql import SqlCatalog

    if folder.startswith("s3://"):
        # Nobody needs the catalogue afterwards: the newest metadata file says where the table is.
        access = {f"s3.{name}": os.environ[f"S3_{name.replace('-', '_').upper()}"] for name in ("endpoint", "access-key-id", "secret-access-key", "region")}
        return SqlCatalog("test", uri="sqlite:///:memory:", warehouse=folder, **access)
    os.makedirs(folder, exist_ok=True)
    return SqlCatalog("test", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")


def write_iceberg(folder, table, mode):
    catalog = iceberg_catalog(folder)
    catalog.create_namespace_if_not_exists("shop")
    target = catalog.create_table_if_not_exists("shop.events", schema=table.schema)
    if mode == "overwrite":
        target.overwrite(table)
    else:
        target.append(table)


format, folder, first, end, mode = sys.argv[1:]
{"delta": write_delta, "iceberg": write_iceberg}[format](folder, rows(int(first), int(end)), mode)
