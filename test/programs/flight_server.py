"""A foreign Flight server with one training set, made up but the same every time: python flight_server.py PORT ROWS [BATCHES].

Prints the port once it listens. The set has NULLs, integers, doubles, several endpoints and small batches.
With BATCHES it dies in the middle of a stream, after so many.
"""

import json
import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight

INPUTS = ["distance", "hour", "weekday", "origin_hour__late_rate", "origin_hour__departures", "route_day__late_rate"]


def training_set(rows):
    random = np.random.default_rng(7)
    distance = random.integers(50, 3000, rows)
    hour = random.integers(0, 24, rows)
    weekday = random.integers(0, 7, rows)
    late_rate, route_rate = random.beta(2, 6, rows), random.beta(2, 6, rows)
    departures = random.integers(0, 80, rows).astype(float)
    score = -2.5 + hour / 10 + late_rate * 3 + np.where(weekday == 4, 0.4, 0) + distance / 9000 + route_rate
    label = random.random(rows) < 1 / (1 + np.exp(-score))
    null = random.random(rows) < 0.1
    split = np.where(np.arange(rows) < rows * 0.85, "train", "test")
    columns = [
        pa.array(distance, pa.int32()), pa.array(hour, pa.int64()), pa.array(weekday, pa.int64()),
        pa.array(late_rate, mask=null), pa.array(departures, mask=null), pa.array(route_rate, mask=random.random(rows) < 0.3),
        pa.array(label), pa.array(split), pa.array(np.arange(rows)),
    ]  # fmt: skip
    return pa.table(columns, names=[*INPUTS, "late", "split", "flight_id"])


class Server(flight.FlightServerBase):
    def __init__(self, location, table, batches_max):
        super().__init__(location)
        self.table = table
        self.batches_left = batches_max

    def batches(self, part):
        for batch in part.to_batches(max_chunksize=10_000):
            if self.batches_left == 0:
                os._exit(9)
            self.batches_left -= 1
            yield batch

    def get_flight_info(self, context, descriptor):
        path = [part.decode() for part in descriptor.path]
        if path != ["eider", "datasets", "flights"]:
            raise KeyError(f"no table {'/'.join(path)}")
        half = self.table.num_rows // 2
        tickets = [json.dumps(part).encode() for part in ([0, half], [half, self.table.num_rows - half])]
        endpoints = [flight.FlightEndpoint(ticket, []) for ticket in tickets]
        return flight.FlightInfo(self.table.schema, descriptor, endpoints, self.table.num_rows, -1)

    def do_get(self, context, ticket):
        start, length = json.loads(ticket.ticket)
        part = self.table.slice(start, length)
        return flight.GeneratorStream(part.schema, self.batches(part))


if __name__ == "__main__":
    batches_max = int(sys.argv[3]) if len(sys.argv) > 3 else -1
    server = Server(f"grpc://127.0.0.1:{sys.argv[1]}", training_set(int(sys.argv[2])), batches_max)
    print(server.port, flush=True)
    server.serve()
