"""Reads a table slowly: a pause after each message. Prints how many rows there were."""

import base64
import json
import sys
import time

import pyarrow.flight as flight

task = json.loads(sys.argv[1])
rows = 0
for chunk in flight.connect(task["url"]).do_get(flight.Ticket(base64.b64decode(task["ticket"]))):
    rows += chunk.data.num_rows
    time.sleep(task["pause"])
print(rows)
