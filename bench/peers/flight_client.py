"""Reads the same table from Flight servers in alternating rounds; prints the seconds of each as one JSON line.

A side has one ticket, or one for each round and one to warm up.
"""

import base64
import json
import sys
import time

import pyarrow.flight as flight

task = json.loads(sys.argv[1])
clients = {name: flight.connect(side["url"]) for name, side in task["sides"].items()}
tickets = {
    name: [flight.Ticket(base64.b64decode(one)) for one in side.get("tickets", [side.get("ticket", "")])]
    for name, side in task["sides"].items()
}


def seconds_of(name, round_number):
    ticket = tickets[name][round_number % len(tickets[name])]
    started = time.perf_counter()
    rows = size = 0
    for chunk in clients[name].do_get(ticket):
        rows += chunk.data.num_rows
        size += chunk.data.nbytes
    if rows != task["rows"]:
        raise SystemExit(f"{name} sent {rows} rows")
    return time.perf_counter() - started, size


result = {name: {"seconds": [], "bytes": 0} for name in clients}
for round_number in range(task["rounds"] + 1):
    for name in sorted(clients, reverse=round_number % 2 == 1):
        seconds, size = seconds_of(name, round_number)
        result[name]["bytes"] = size
        if round_number > 0:  # The first round warms both.
            result[name]["seconds"].append(seconds)
print(json.dumps(result))
