"""pyarrow that joins by Flight, told what to do by one JSON object a line on stdin and answering each by one on stdout."""

import hashlib
import json
import sys
import threading

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet

client = flight.connect(sys.argv[1])
tables = {}


def command(request):
    return flight.FlightDescriptor.for_command(json.dumps(request["command"]))


def do_load(request):
    """A Parquet file under a name; `batch` rows make a batch."""
    table = parquet.read_table(request["file"])
    tables[request["name"]] = table
    return table.num_rows


def summary(table):
    return {"columns": table.column_names, "rows": table.num_rows}


def do_info(request):
    info = client.get_flight_info(command(request))
    return {
        "columns": info.schema.names,
        "rows": info.total_records,
        "metadata": json.loads(info.app_metadata),
        "ticket": info.endpoints[0].ticket.serialize().hex(),
    }


def do_read(request):
    ticket = (
        flight.Ticket.deserialize(bytes.fromhex(request["ticket"]))
        if "ticket" in request
        else client.get_flight_info(command(request)).endpoints[0].ticket
    )
    tables["read"] = client.do_get(ticket).read_all()
    return summary(tables["read"])


def do_rows(request):
    return json.loads(json.dumps(tables[request.get("name", "read")].to_pylist(), default=str))


def do_equal(request):
    """Columns of the first that differ from those of the second, in the same order of rows."""
    one, other = tables[request.get("name", "read")], parquet.read_table(request["file"])
    if one.column_names != other.column_names or one.num_rows != other.num_rows:
        return [one.column_names, other.column_names, one.num_rows, other.num_rows]
    return [
        name
        for name in one.column_names
        if one[name].combine_chunks().cast(other.schema.field(name).type) != other[name].combine_chunks()
    ]


def do_put(request):
    table = tables[request["name"]]
    descriptor = (
        flight.FlightDescriptor.for_path(*request["path"]) if "path" in request else command(request)
    )
    writer, reader = client.do_put(descriptor, table.schema)
    for batch in table.to_batches(max_chunksize=request.get("batch", 65536)):
        writer.write_batch(batch)
    writer.done_writing()
    answer = reader.read()
    writer.close()
    return json.loads(answer.to_pybytes())


def do_hash(request):
    """What Arrow writes of the same batches as one stream."""
    table = tables[request["name"]]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=request.get("batch", 65536)):
            writer.write_batch(batch)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def do_exchange(request):
    """Writes from one thread and reads in another, as pyarrow's documentation has it; `lockstep` waits for each answer."""
    table = tables[request["name"]]
    batches = table.to_batches(max_chunksize=request.get("batch", 65536))
    options = flight.FlightCallOptions(timeout=request.get("timeout"))
    writer, reader = client.do_exchange(command(request), options)
    writer.begin(table.schema)
    if request.get("lockstep"):
        received = []
        for batch in batches:
            writer.write_batch(batch)
            rows = 0
            while rows < batch.num_rows:
                chunk = reader.read_chunk().data
                received.append(chunk)
                rows += chunk.num_rows
        writer.done_writing()
        tables["read"] = pa.Table.from_batches(received)
        return {**summary(tables["read"]), "answers": len(received)}
    failed = []

    def write():
        try:
            for batch in batches:
                writer.write_batch(batch)
            writer.done_writing()
        except pa.ArrowException as error:
            failed.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    if request.get("write_first"):
        thread.join()
    try:
        tables["read"] = reader.read_all()
    finally:
        thread.join()
        writer.close()
    return summary(tables["read"])


def do_abandon(request):
    """Sends some batches, takes some rows, and leaves."""
    table = tables[request["name"]]
    writer, reader = client.do_exchange(command(request))
    writer.begin(table.schema)
    writer.write_batch(table.to_batches(max_chunksize=1000)[0])
    reader.read_chunk()
    reader.cancel()
    return True


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": globals()["do_" + request["do"]](request)}
    except Exception as error:  # Whatever it raises is the answer.
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
