"""ADBC's Flight SQL driver, told what to do by one JSON object a line on stdin and answering each by one on stdout."""

import datetime
import decimal
import json
import sys
import threading
import zoneinfo

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow as pa

connections = {}
cursors = {}
names = {"datetime": datetime, "decimal": decimal, "pa": pa, "zoneinfo": zoneinfo}


def connection(request):
    return connections[request.get("on", "")]


def parameters(request):
    """Written as Python, because JSON lacks most of its types."""
    return eval(request["parameters"], names) if "parameters" in request else None


def fields(schema):
    return [[field.name, str(field.type), field.nullable] for field in schema]


def metadata(field):
    return {key.decode().removeprefix("ARROW:FLIGHT:SQL:"): text.decode() for key, text in (field.metadata or {}).items()}


def do_connect(request):
    connections[request.get("on", "")] = flightsql.connect(
        sys.argv[1], db_kwargs=request.get("database", {}), conn_kwargs=request.get("connection", {}), autocommit=True
    )


def do_execute(request):
    """Rows as Python writes them."""
    with connection(request).cursor() as cursor:
        cursor.execute(request["sql"], parameters(request))
        rows = cursor.fetchall()
        return {
            "columns": [[column[0], str(column[1])] for column in cursor.description],
            "rows": [repr(list(row)) for row in rows],
            "rowcount": cursor.rowcount,
        }


def do_table(request):
    with connection(request).cursor() as cursor:
        cursor.execute(request["sql"], parameters(request))
        table = cursor.fetch_arrow_table()
        table.validate(full=True)
        return {"schema": fields(table.schema), "rows": table.num_rows, "rowcount": cursor.rowcount}


def do_python(request):
    return [repr(eval(request["value"], names))]


def do_transaction(request):
    connection(request).adbc_connection.set_autocommit(False)


def do_many(request):
    with connection(request).cursor() as cursor:
        cursor.executemany(request["sql"], parameters(request))


def do_update(request):
    with connection(request).cursor() as cursor:
        cursor.adbc_statement.set_sql_query(request["sql"])
        return cursor.adbc_statement.execute_update()


def do_ingest(request):
    with connection(request).cursor() as cursor:
        return cursor.adbc_ingest(request["table"], pa.table({"a": [1]}))


def do_prepare(request):
    cursors[request["id"]] = cursor = connection(request).cursor()
    schema = cursor.adbc_prepare(request["sql"])
    return None if schema is None else fields(schema)


def do_again(request):
    """The prepared statement with other values."""
    cursor = cursors[request["id"]]
    cursor.execute(request["sql"], parameters(request))
    return [repr(list(row)) for row in cursor.fetchall()]


def do_close(request):
    cursors.pop(request["id"]).close()


def do_schema(request):
    with connection(request).cursor() as cursor:
        return fields(cursor.adbc_execute_schema(request["sql"]))


def do_partitions(request):
    with connection(request).cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions(request["sql"])
    rows = 0
    for partition in partitions:
        with connection(request).cursor() as cursor:
            cursor.adbc_read_partition(partition)
            rows += cursor.fetch_arrow_table().num_rows
    return {"partitions": len(partitions), "schema": fields(schema), "rows": rows}


def do_poll(request):
    """Partitions as they become ready; none are left when the statement has ended."""
    found = []
    with connection(request).cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.statement.exec.incremental": "true"})
        while not found or found[-1] > 0:
            partitions, _ = cursor.adbc_execute_partitions(request["sql"])
            found.append(len(partitions))
    return found


def do_cancel(request):
    """Cancels while the first batch is waited for."""
    with connection(request).cursor() as cursor:
        timer = threading.Timer(request["after"], cursor.adbc_cancel)
        timer.start()
        try:
            cursor.execute(request["sql"])
            cursor.fetch_arrow_table()
        finally:
            timer.cancel()


def do_objects(request):
    return connection(request).adbc_get_objects(**request.get("filters", {})).read_all().to_pylist()


def do_table_schema(request):
    schema = connection(request).adbc_get_table_schema(request["table"], **request.get("filters", {}))
    return [[field.name, str(field.type), metadata(field)] for field in schema]


def do_info(request):
    return {str(key): str(value) for key, value in connection(request).adbc_get_info().items()}


def do_table_types(request):
    return connection(request).adbc_get_table_types()


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": globals()["do_" + request["do"]](request)}
    except (adbc_driver_manager.Error, pa.ArrowException, ValueError) as error:
        status = getattr(error, "status_code", None)
        answer = {"error": type(error).__name__, "message": f"{status}: {error}"}
    print(json.dumps(answer, default=str), flush=True)
