"""Reads the same table from Flight servers in alternating rounds; prints the seconds of each as one JSON line.

A side has one ticket, or one for each round and one to warm up. Or it has the port of a Quack server, which DuckDB reads.
"""

import base64
import json
import sys
import time
from importlib.resources import files

import duckdb
import pyarrow.flight as flight

task = json.loads(sys.argv[1])
clients = {name: flight.connect(side["url"]) for name, side in task["sides"].items() if "quack" not in side}
tickets = {
    name: [flight.Ticket(base64.b64decode(one)) for one in side.get("tickets", [side.get("ticket", "")])]
    for name, side in task["sides"].items()
}


def quack(port):
    database = duckdb.connect()
    for name in ("httpfs", "quack"):  # From their packages: nothing is downloaded.
        folder = files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
        database.execute(f"LOAD '{folder / name}.duckdb_extension'")
    database.execute("CREATE SECRET (TYPE quack, TOKEN 'a token of the bench')")
    database.execute(f"ATTACH 'quack:localhost:{port}' AS remote")
    return database


quacks = {name: quack(side["quack"]) for name, side in task["sides"].items() if "quack" in side}


def chunks_of(name, round_number):
    if name in quacks:
        return quacks[name].execute("FROM remote.served").to_arrow_reader(65_536)
    ticket = tickets[name][round_number % len(tickets[name])]
    return (chunk.data for chunk in clients[name].do_get(ticket))


def seconds_of(name, round_number):
    started = time.perf_counter()
    rows = size = 0
    for batch in chunks_of(name, round_number):
        rows += batch.num_rows
        size += batch.nbytes
    if rows != task["rows"]:
        raise SystemExit(f"{name} sent {rows} rows")
    return time.perf_counter() - started, size


result = {name: {"seconds": [], "bytes": 0} for name in task["sides"]}
for round_number in range(task["rounds"] + 1):
    for name in sorted(result, reverse=round_number % 2 == 1):
        seconds, size = seconds_of(name, round_number)
        result[name]["bytes"] = size
        if round_number > 0:  # The first round warms all.
            result[name]["seconds"].append(seconds)
print(json.dumps(result))
