"""pyarrow as a Flight client, told what to do by one JSON object a line on stdin and answering each by one on stdout."""

import base64
import json
import sys

import duckdb
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet

with open(sys.argv[2], "rb") if len(sys.argv) > 2 else open("/dev/null", "rb") as authority:
    client = flight.connect(sys.argv[1], tls_root_certs=authority.read() or None)
readers = {}
table = None


def call_options(request):
    headers = [(name.encode(), value.encode()) for name, value in request.get("headers", {}).items()]
    return flight.FlightCallOptions(headers=headers, timeout=request.get("timeout"))


def descriptor(request):
    if "command" in request:
        return flight.FlightDescriptor.for_command(request["command"].encode())
    return flight.FlightDescriptor.for_path(*request["path"])


def fields(schema):
    return [[field.name, str(field.type)] for field in schema]


def ticket_of(request):
    if "ticket" in request:
        return flight.Ticket(base64.b64decode(request["ticket"]))
    return client.get_flight_info(descriptor(request), call_options(request)).endpoints[0].ticket


def batches_of(request):
    """The schema and all batches of all endpoints, in their order."""
    options = call_options(request)
    if "ticket" in request:
        tickets = [ticket_of(request)]
    else:
        tickets = [endpoint.ticket for endpoint in client.get_flight_info(descriptor(request), options).endpoints]
    readers = [client.do_get(ticket, options) for ticket in tickets]
    return readers[0].schema, [chunk.data for reader in readers for chunk in reader], len(readers)


def buffers_of(batch):
    return [buffer for column in batch.columns for buffer in column.buffers() if buffer is not None]


def misaligned(batch):
    return sum(1 for buffer in buffers_of(batch) if buffer.size > 0 and buffer.address % 8 != 0)


def size_of(batch):
    """`nbytes` ends the process when a union without rows lies within another value (pyarrow 26)."""
    return sum(buffer.size for buffer in buffers_of(batch))


def do_list(request):
    criteria = request.get("criteria", "").encode()
    return [
        {
            "path": [part.decode() for part in info.descriptor.path],
            "rows": info.total_records,
            "endpoints": len(info.endpoints),
            "metadata": json.loads(info.app_metadata),
        }
        for info in client.list_flights(criteria, call_options(request))
    ]


def do_info(request):
    info = client.get_flight_info(descriptor(request), call_options(request))
    return {
        "schema": fields(info.schema),
        "rows": info.total_records,
        "bytes": info.total_bytes,
        "ordered": info.ordered,
        "metadata": json.loads(info.app_metadata),
        "locations": [len(endpoint.locations) for endpoint in info.endpoints],
        "ticket": base64.b64encode(info.endpoints[0].ticket.ticket).decode(),
    }


def do_schema(request):
    return fields(client.get_schema(descriptor(request), call_options(request)).schema)


def do_read(request):
    """Reads all; every batch is fully validated."""
    global table
    table = None
    schema, batches, endpoints = batches_of(request)
    for batch in batches:
        batch.validate(full=request.get("validateFully", True))
    table = pa.Table.from_batches(batches, schema)
    return {
        "schema": fields(schema),
        "endpoints": endpoints,
        "rows": table.num_rows,
        "batchRows": [batch.num_rows for batch in batches],
        "bytesMax": max((size_of(batch) for batch in batches), default=0),
        "misaligned": sum(misaligned(batch) for batch in batches),
    }


def do_differences(request):
    """Columns of what was read last that differ from pyarrow's own reading of the Parquet files."""
    expected = pa.concat_tables([parquet.read_table(path) for path in request["files"]])
    differing = []
    for name in request.get("columns", table.column_names):
        ours, theirs = table.column(name), expected.column(name)
        if isinstance(theirs.type, pa.BaseExtensionType):
            theirs = pa.chunked_array([text_of_uuids(theirs)])
        if theirs.type != ours.type:
            theirs = theirs.cast(ours.type)
        if pa.types.is_floating(ours.type):  # NaN is never equal to itself; its text is.
            ours, theirs = ours.cast(pa.string()), theirs.cast(pa.string())
        if not ours.equals(theirs):
            differing.append(name)
    return differing


def text_of_uuids(column):
    return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())


def do_duckdb_differences(request):
    """Where what was read last, and its schema, differ from the Arrow that DuckDB itself makes of a query in this process."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        expected = database.execute(request["sql"]).to_arrow_table()
    differing = [
        f"{ours} where {theirs} was expected"
        for ours, theirs in zip(table.schema, expected.schema, strict=True)
        if not ours.equals(theirs, check_metadata=True)
    ]
    for name, ours, theirs in zip(table.column_names, table.columns, expected.columns, strict=True):
        if not equal(ours, theirs):
            differing.append(name)
    return differing


def equal(ours, theirs):
    """NaN is never equal to itself; its text is."""
    if len(ours) == 0:
        return len(theirs) == 0
    ours, theirs = ours.combine_chunks(), theirs.combine_chunks()
    return ours.equals(theirs) or all_text(ours) == all_text(theirs)


def all_text(array):
    return array.to_string(window=len(array), container_window=1_000_000, element_size_limit=1_000_000)


def do_values(request):
    return [None if value is None else str(value) for value in table.column(request["column"]).to_pylist()]


def do_open(request):
    readers[request["id"]] = client.do_get(ticket_of(request), call_options(request))
    return {}


def do_take(request):
    """The rows of the next batches."""
    return [readers[request["id"]].read_chunk().data.num_rows for _ in range(request["batches"])]


def do_drain(request):
    return readers.pop(request["id"]).read_all().num_rows


def do_cancel(request):
    readers.pop(request["id"]).cancel()
    return {}


def do_actions(_request):
    return len(list(client.list_actions()))


def do_action(_request):
    return [result.body.to_pybytes().decode() for result in client.do_action("anything")]


def do_put(_request):
    writer, _ = client.do_put(flight.FlightDescriptor.for_path("a"), pa.schema([("a", pa.int32())]))
    writer.write_batch(pa.record_batch([pa.array([1], pa.int32())], ["a"]))
    writer.close()


def do_token(request):
    pair = client.authenticate_basic_token(request.get("name", "ann"), request.get("key", "secret"))
    return [part.decode() for part in pair]


def do_outcome(request):
    """What a caller sees of a stream: its rows, and how it ended."""
    rows, error = 0, None
    try:
        reader = client.do_get(ticket_of(request), call_options(request))
        for number, chunk in enumerate(reader):
            rows += chunk.data.num_rows
            if number + 1 == request.get("cancelAfter"):
                reader.cancel()
    except (pa.ArrowException, flight.FlightError) as caught:
        error = f"{type(caught).__name__}: {caught}"
    return {"rows": rows, "error": error}


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": globals()["do_" + request["do"]](request)}
    except (pa.ArrowException, flight.FlightError, StopIteration) as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
