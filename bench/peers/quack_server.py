"""The peer: DuckDB's own remote protocol, Quack. Serves a Parquet file as the table `served`; prints its port."""

import socket
import sys
import threading
from importlib.resources import files

import duckdb

threads, path = int(sys.argv[1]), sys.argv[2]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
database = duckdb.connect(config={"threads": threads})
for name in ("httpfs", "quack"):
    folder = files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
    database.execute(f"LOAD '{folder / name}.duckdb_extension'")
database.execute(f"CREATE VIEW served AS FROM read_parquet('{path}')")
database.execute(f"CALL quack_serve('quack:localhost:{port}', token = 'a token of the bench')")
print(port, flush=True)
threading.Event().wait()
