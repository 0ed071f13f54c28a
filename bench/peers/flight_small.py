"""Small queries by Flight SQL, from one reader and from many at the same pace each; prints latencies in ms as one JSON line."""

import json
import sys
import threading
import time

import pyarrow.flight as flight

task = json.loads(sys.argv[1])


def field(number, value):
    length, size = len(value), b""
    while length >= 0x80:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + value


def statement(sql):
    """CommandStatementQuery in a google.protobuf.Any, as Flight SQL has it."""
    name = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return flight.FlightDescriptor.for_command(field(1, name) + field(2, field(1, sql.encode())))


def ask(client, number):
    started = time.perf_counter()
    info = client.get_flight_info(statement(task["sql"].replace("{i}", str(number))))
    rows = sum(client.do_get(one.ticket).read_all().num_rows for one in info.endpoints)
    if rows != 1:
        raise SystemExit(f"{rows} rows")
    return (time.perf_counter() - started) * 1000


def reader(index, readers, latencies, start):
    """Asks at fixed instants, spread among the readers, whatever the answers take."""
    client = flight.connect(task["url"])
    ask(client, index)
    for count in range(task["queries"]):
        at = start + (count + index / readers) * task["every"]
        time.sleep(max(0, at - time.perf_counter()))
        latencies.append(ask(client, index * 1009 + count))


result = {}
for readers in task["readers"]:
    latencies = []
    start = time.perf_counter() + 1
    threads = [threading.Thread(target=reader, args=(index, readers, latencies, start)) for index in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(latencies) != readers * task["queries"]:
        raise SystemExit("a reader broke off")
    result[str(readers)] = sorted(latencies)
print(json.dumps(result))
