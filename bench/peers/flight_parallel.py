"""Reads a table as one stream, and as several endpoints at the same time, in turns; prints the seconds of each as one JSON line."""

import base64
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow.flight as flight

task = json.loads(sys.argv[1])
sides = {name: [base64.b64decode(one) for one in tickets] for name, tickets in task["sides"].items()}
clients = [flight.connect(task["url"]) for _ in range(max(len(tickets) for tickets in sides.values()))]


def rows_of(client, ticket):
    return sum(chunk.data.num_rows for chunk in client.do_get(flight.Ticket(ticket)))


seconds = {name: [] for name in sides}
with ThreadPoolExecutor(len(clients)) as pool:
    for round_number in range(task["rounds"] + 1):
        for name in sorted(sides, reverse=round_number % 2 == 1):
            started = time.perf_counter()
            rows = sum(pool.map(rows_of, clients, sides[name]))
            if rows != task["rows"]:
                raise SystemExit(f"{name} sent {rows} rows")
            if round_number > 0:  # The first round warms both.
                seconds[name].append(time.perf_counter() - started)
print(json.dumps(seconds))
