"""The peer: pyarrow's own FlightServer (C++ data path) over DuckDB. The ticket is the path of a Parquet file."""

import sys

import duckdb
import pyarrow.flight as flight

threads, batch_rows = int(sys.argv[1]), 65_536
database = duckdb.connect(config={"threads": threads})


class Server(flight.FlightServerBase):
    def do_get(self, context, ticket):
        cursor = database.cursor()
        cursor.execute("SELECT * FROM read_parquet(?)", [ticket.ticket.decode()])
        return flight.RecordBatchStream(cursor.to_arrow_reader(batch_rows))


server = Server("grpc://127.0.0.1:0")
print(server.port, flush=True)
server.serve()
