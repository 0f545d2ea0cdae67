"""Opens the lake of a data directory with tools that others wrote, and compares it with the log.

    tables.py --binary target/release/clipflow --data DIR

`deltalake` (delta-rs for Python) reads the Delta log and the rows; `duckdb` reads the parquet files that the latest version names.
Both must hold what `clipflow events` prints. Writes what is missing first; prints one line per check.
"""

import argparse
import json
import subprocess
from pathlib import Path

import duckdb
from deltalake import DeltaTable, QueryBuilder

TABLES = ["events", "clips", "decisions", "features", "performance", "usage"]
DECISIONS = {"clip.accepted", "clip.rejected", "clip.retrimmed", "clip.restyled"}
SECONDS = 120


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    options = arguments.parse_args()
    check(options.binary.resolve(), options.data)


def check(binary: Path, data: Path) -> None:
    def clipflow(*rest: str) -> str:
        return subprocess.run([binary, "--data", data, *rest], check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS).stdout

    print(f"  {clipflow('lake', 'sync').strip()}", flush=True)
    log = [json.loads(line) for line in clipflow("events").splitlines()]
    tables = {name: DeltaTable(str(data / "lake" / name)) for name in TABLES}
    events_are_the_log(tables["events"], log)
    tables_hold_what_the_log_says(tables, log)
    tables_are_partitioned_by_date(tables)
    before = {name: rows(table, name) for name, table in tables.items()}
    print(f"  {'; '.join(clipflow('lake', 'optimize').splitlines())}", flush=True)
    clipflow("lake", "checkpoint")
    clipflow("lake", "vacuum")
    after = {name: rows(DeltaTable(str(data / "lake" / name)), name) for name in TABLES}
    assert before == after, "joining files changed rows"
    answers_are_the_same(clipflow, tables["events"])


def events_are_the_log(table: DeltaTable, log: list[dict]) -> None:
    sql = "select position, event, stream, version, type, actor, correlation, causation, payload from events order by position"
    found = query(table, "events", sql)
    assert len(found) == len(log) > 0, f"{len(found)} rows, {len(log)} events"
    for row, event in zip(found, log):
        position, name, stream, version, kind, actor, correlation, causation, payload = row
        assert (str(position), name, stream, str(version), kind) == (event["position"], event["id"], event["subject"], event["streamversion"], event["type"])
        assert (actor, correlation, causation) == (event["actor"], event["correlationid"], event.get("causationid"))
        assert json.loads(payload) == event["data"], name
    scanned = duckdb.sql(f"select position, type, payload from {parquet(table)} order by position").fetchall()
    assert scanned == [(row[0], row[4], row[8]) for row in found], "duckdb reads other rows"
    print(f"  deltalake and duckdb read the {len(log)} events of the log", flush=True)


def tables_hold_what_the_log_says(tables: dict[str, DeltaTable], log: list[dict]) -> None:
    proposed = [event for event in log if event["type"] == "clip.proposed"]
    decided = [event for event in log if event["type"] in DECISIONS]
    assert positions(tables["clips"]) == positions(tables["features"]) == [int(event["position"]) for event in proposed]
    assert positions(tables["decisions"]) == [int(event["position"]) for event in decided]
    if proposed:
        effects = duckdb.sql(f"select sum(len(contributions)), min(score) from {parquet(tables['features'])}").fetchall()[0]
        assert effects[0] > 0, effects
        heard = duckdb.sql(f"select sum(quantity) from {parquet(tables['usage'])} where meter = 'ingested'").fetchall()[0][0]
        assert heard > 0, heard
    print(f"  {len(proposed)} clips with their features, {len(decided)} decisions", flush=True)


def tables_are_partitioned_by_date(tables: dict[str, DeltaTable]) -> None:
    for name, table in tables.items():
        assert table.metadata().partition_columns == ["date"], name
        assert table.transaction_version(f"{name}@1/0") is not None, f"{name} has no checkpoint"


def answers_are_the_same(clipflow, table: DeltaTable) -> None:
    sql = "select type, count(*) as n, max(position) as last from events group by type order by type"
    ours = [tuple(json.loads(line).values()) for line in clipflow("lake", "sql", "--json", sql).splitlines()]
    peers = duckdb.sql(sql.replace("from events", f"from {parquet(DeltaTable(table.table_uri))}")).fetchall()
    assert sorted(map(sorted_by_name, ours)) == sorted(map(sorted_by_name, peers)), (ours, peers)
    print(f"  `clipflow lake sql` and duckdb agree on {len(peers)} groups", flush=True)


def sorted_by_name(row: tuple) -> tuple:
    """JSON objects come with their fields in the order of their names: last, n, type."""
    return tuple(sorted(map(str, row)))


def rows(table: DeltaTable, name: str) -> list[tuple]:
    return query(table, name, f"select * from {name} order by position" + (", meter" if name == "usage" else ""))


def query(table: DeltaTable, name: str, sql: str) -> list[tuple]:
    found = QueryBuilder().register(name, table).execute(sql)  # noqa: F841 (duckdb finds it by its name)
    return duckdb.sql("select * from found").fetchall()


def positions(table: DeltaTable) -> list[int]:
    return [position for (position,) in duckdb.sql(f"select position from {parquet(table)} order by position").fetchall()] if table.file_uris() else []


def parquet(table: DeltaTable) -> str:
    return f"read_parquet({table.file_uris()!r}, hive_partitioning = true)"


if __name__ == "__main__":
    main()
