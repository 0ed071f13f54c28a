"""Reads the training set from Eider's Flight service and turns it into float32 matrices."""

import random
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

# A Flight service that restarts is back within seconds; after this long somebody else must look.
GIVE_UP_AFTER_SECONDS = 60.0
PAUSE_MAX_SECONDS = 2.0
INFO_TIMEOUT_SECONDS = 30.0

# What gRPC says when a server dies in the middle of a stream, though the status itself may be INTERNAL or UNKNOWN.
BROKEN_CONNECTION = ("RST_STREAM", "GOAWAY", "Socket closed", "Connection reset", "resource exhausted")


class Unreachable(Exception):
    """Flight stayed away; the same run may work later."""


class Unusable(Exception):
    """The training set or the parameters are not what the contract promises."""


def is_passing(error):
    """Whether the same call may succeed in a moment."""
    passing = (flight.FlightUnavailableError, flight.FlightTimedOutError, flight.FlightCancelledError)
    return isinstance(error, passing) or any(text in str(error) for text in BROKEN_CONNECTION)


def one_line(error):
    return " ".join(str(error).split())


def read_once(url, path, key, authority):
    # A new client each time: an old one waits for its own reconnect back-off.
    options = [("grpc.max_reconnect_backoff_ms", 1000)]
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    with flight.FlightClient(url, generic_options=options, tls_root_certs=authority) as client:
        descriptor = flight.FlightDescriptor.for_path(*path)
        asking = flight.FlightCallOptions(timeout=INFO_TIMEOUT_SECONDS, headers=headers)
        info = client.get_flight_info(descriptor, asking)
        reading = flight.FlightCallOptions(headers=headers)
        # Endpoints are parts of one table, in order; their tickets hold for the server that we asked.
        parts = [client.do_get(endpoint.ticket, reading).read_all() for endpoint in info.endpoints]
        table = pa.concat_tables(parts) if parts else info.schema.empty_table()
        if info.total_records >= 0 and table.num_rows != info.total_records:
            raise Unusable(f"Flight sent {table.num_rows} rows, its info promised {info.total_records}")
        return table


def read(url, path, key=None, authority=None):
    """The whole training set, in the order it comes; starts from the beginning while Flight restarts."""
    give_up_at, pause = None, 0.1
    while True:
        try:
            return read_once(url, path, key, authority)
        except pa.ArrowException as error:
            if not is_passing(error):
                raise Unusable(f"Flight refuses {'/'.join(path)}: {one_line(error)}") from error
            give_up_at = give_up_at or time.monotonic() + GIVE_UP_AFTER_SECONDS
            if time.monotonic() + pause > give_up_at:
                raise Unreachable(f"Flight at {url} stays away: {one_line(error)}") from error
            print(f"Flight does not answer, trying again in {pause:.1f} s: {one_line(error)}", flush=True)
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, PAUSE_MAX_SECONDS)


def column(table, name):
    if table.schema.get_all_field_indices(name) == []:
        raise Unusable(f'the training set has no column "{name}"; it has {", ".join(table.column_names)}')
    return table.column(name)


def matrix(table, names):
    """float32, one column an input, in order; NULL becomes NaN."""
    values = np.empty((table.num_rows, len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        source = column(table, name)
        try:
            values[:, index] = pc.cast(source, pa.float32(), safe=False).to_numpy()
        except (pa.ArrowException, NotImplementedError) as error:
            raise Unusable(f'input "{name}" is {source.type}, which is not a number') from error
    return values


def splits(table, names, label, split):
    """{"train": (inputs, labels), "test": (inputs, labels)}; rows of any other split are left out."""
    labels = column(table, label)
    if not pa.types.is_boolean(labels.type) or labels.null_count > 0:
        raise Unusable(f'label "{label}" must be BOOLEAN without NULL; it is {labels.type}, {labels.null_count} NULL')
    inputs, truth = matrix(table, names), labels.to_numpy().astype(np.float32)
    part = pc.cast(column(table, split), pa.string())
    masks = {name: pc.fill_null(pc.equal(part, name), False).to_numpy() for name in ("train", "test")}
    return {name: (inputs[mask], truth[mask]) for name, mask in masks.items()}
