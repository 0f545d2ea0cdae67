"""Makes the roles of a fresh Cassandra and removes the one it comes with. Safe to run again after any failure."""

import os

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable, Session

ADMIN, ADMIN_PASSWORD = os.environ["CLIPFLOW_CASSANDRA_ADMIN_USERNAME"], os.environ["CLIPFLOW_CASSANDRA_ADMIN_PASSWORD"]
USER, USER_PASSWORD = os.environ["CLIPFLOW_CASSANDRA_USERNAME"], os.environ["CLIPFLOW_CASSANDRA_PASSWORD"]


def main() -> None:
    try:
        admin = session(ADMIN, ADMIN_PASSWORD)
    except NoHostAvailable:
        first = session("cassandra", "cassandra")
        first.execute(f"CREATE ROLE IF NOT EXISTS {ADMIN} WITH PASSWORD = '{ADMIN_PASSWORD}' AND LOGIN = true AND SUPERUSER = true")
        first.cluster.shutdown()
        admin = session(ADMIN, ADMIN_PASSWORD)
    # Cassandra makes its own role again only where there is no other.
    admin.execute("DROP ROLE IF EXISTS cassandra")
    admin.execute(f"CREATE ROLE IF NOT EXISTS {USER} WITH PASSWORD = '{USER_PASSWORD}' AND LOGIN = true")
    admin.execute(f"GRANT CREATE ON ALL KEYSPACES TO {USER}")
    admin.cluster.shutdown()


def session(user: str, password: str) -> Session:
    host, port = os.environ["CLIPFLOW_CASSANDRA_NODES"].split(":")
    return Cluster([host], port=int(port), auth_provider=PlainTextAuthProvider(user, password)).connect()


if __name__ == "__main__":
    main()
