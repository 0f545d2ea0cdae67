"""Asks each running engine, with a real client, for what we count on; run by infra/local/check. Prints a line per claim."""

import os
import sys
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cassandra import Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

# Far above what an idle machine needs; an engine that takes longer is not well.
SECONDS_MAX = 20
RIVALS = 12
ROUNDS = 20
env = os.environ
name = f"check-{uuid.uuid4().hex[:12]}"
claims: list[tuple[str, bool]] = []


def main() -> None:
    for engine in sys.argv[1:]:
        {"kafka": kafka, "cassandra": cassandra, "s3": s3}[engine]()
    passed = sum(ok for _, ok in claims)
    print(f"{passed} passed, {len(claims) - passed} failed")
    sys.exit(passed != len(claims))


@contextmanager
def claim(text: str):
    """Whatever is raised inside breaks the claim, and only this one."""
    try:
        yield
        claims.append((text, True))
    except Exception:
        claims.append((text, False))
        traceback.print_exc()
    print(f"{'ok' if claims[-1][1] else 'FAILED':6} {text}")


def kafka() -> None:
    plain = {"bootstrap.servers": env["CLIPFLOW_KAFKA_BROKERS"], "log_level": 0}
    admin = AdminClient(plain)
    with claim("kafka: a record comes back on the plain listener"):
        admin.create_topics([NewTopic(name, 1)])[name].result(SECONDS_MAX)
        assert round_trip(plain, b"plain") == b"plain"
    # Only now: right after its creation a broker may not have heard of the topic yet.
    with claim("kafka: a new topic has a replica on every broker"):
        [partition] = admin.list_topics(name, timeout=SECONDS_MAX).topics[name].partitions.values()
        assert len(partition.replicas) == len(env["CLIPFLOW_KAFKA_BROKERS"].split(",")), partition.replicas
    with claim("kafka: a record comes back on the encrypted listener, with a password"):
        assert round_trip(secure(), b"secure") == b"secure"
    with claim("kafka: a wrong password is refused"):
        assert refusal(secure(password="wrong")) == KafkaError._AUTHENTICATION
    with claim("kafka: an authority we do not trust is refused"):
        assert refusal(secure(authority=None)) == KafkaError._SSL
    with claim("kafka: a known user without rights may not write"):
        stranger = secure(env["CLIPFLOW_KAFKA_STRANGER_USERNAME"], env["CLIPFLOW_KAFKA_STRANGER_PASSWORD"])
        assert refusal(stranger) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with claim("kafka: a topic that nobody made does not appear by itself"):
        assert refusal(plain, topic=f"{name}-unmade") in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
    admin.delete_topics([name])[name].result(SECONDS_MAX)


def secure(user: str | None = None, password: str | None = None, authority: str | None = env.get("CLIPFLOW_KAFKA_CA")) -> dict:
    config = {
        "bootstrap.servers": env["CLIPFLOW_KAFKA_TLS_BROKERS"], "log_level": 0, "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user or env["CLIPFLOW_KAFKA_USERNAME"], "sasl.password": password or env["CLIPFLOW_KAFKA_PASSWORD"],
    }
    return config | ({"ssl.ca.location": authority} if authority else {})


def round_trip(config: dict, value: bytes) -> bytes:
    wrong: list = []
    producer = Producer(config | {"acks": "all", "enable.idempotence": True, "message.timeout.ms": SECONDS_MAX * 1000})
    producer.produce(name, value, on_delivery=lambda error, _: wrong.append(error) if error else None)
    assert producer.flush(SECONDS_MAX) == 0 and not wrong, wrong
    consumer = Consumer(config | {"group.id": f"{name}-{value.decode()}", "auto.offset.reset": "earliest"})
    consumer.subscribe([name])
    last = b""
    # The topic holds at most what the claims before wrote.
    while last != value:
        message = consumer.poll(SECONDS_MAX)
        assert message is not None, "nothing came"
        assert message.error() is None, message.error()
        last = message.value()
    consumer.close()
    return last


def refusal(config: dict, topic: str | None = None) -> int:
    """The code of the first error that says why a write is refused: from the connection, or from the broker."""
    codes: list[int] = []
    producer = Producer(config | {"message.timeout.ms": 3000, "topic.metadata.propagation.max.ms": 500, "error_cb": lambda error: codes.append(error.code())})
    producer.produce(topic or name, b"refused", on_delivery=lambda error, _: codes.append(error.code() if error else KafkaError.NO_ERROR))
    producer.flush(SECONDS_MAX)
    return next(code for code in codes if code not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._MSG_TIMED_OUT))


def cassandra() -> None:
    user, password = env["CLIPFLOW_CASSANDRA_USERNAME"], env["CLIPFLOW_CASSANDRA_PASSWORD"]
    keyspace = name.replace("-", "_")
    session = cql(user, password)
    with claim("cassandra: a row of our own keyspace comes back"):
        session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
        session.execute(f"CREATE TABLE {keyspace}.clips (id uuid PRIMARY KEY, title text)")
        row = session.prepare(f"INSERT INTO {keyspace}.clips (id, title) VALUES (?, ?) USING TIMESTAMP ?")
        clip = uuid.uuid4()
        session.execute(row, (clip, "new", 2))
        session.execute(row, (clip, "old", 1))
        assert session.execute(f"SELECT title FROM {keyspace}.clips WHERE id = %s", (clip,)).one().title == "new"
    with claim("cassandra: a role may not touch what is not its own"):
        with refused(Unauthorized):
            session.execute("SELECT role FROM system_auth.roles")
    session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
    session.cluster.shutdown()
    for text, who in {"a wrong password": (user, "wrong"), "the role that Cassandra comes with": ("cassandra", "cassandra")}.items():
        with claim(f"cassandra: {text} is refused"), refused(NoHostAvailable):
            cql(*who)


def cql(user: str, password: str):
    host, port = env["CLIPFLOW_CASSANDRA_NODES"].split(":")
    return Cluster([host], port=int(port), auth_provider=PlainTextAuthProvider(user, password), connect_timeout=SECONDS_MAX).connect()


def s3() -> None:
    client = bucket(env["CLIPFLOW_S3_SECRET_KEY"])
    client.create_bucket(Bucket=name)
    with claim("s3: an object comes back, in part too"):
        client.put_object(Bucket=name, Key="whole", Body=b"clipflow")
        assert client.get_object(Bucket=name, Key="whole", Range="bytes=4-")["Body"].read() == b"flow"
    with claim("s3: a wrong signature is refused"), refused(ClientError, "SignatureDoesNotMatch"):
        bucket("wrong").list_objects_v2(Bucket=name)
    with claim("s3: a second write that says If-None-Match: * is refused"), refused(ClientError, "PreconditionFailed"):
        client.put_object(Bucket=name, Key="whole", Body=b"again", IfNoneMatch="*")
    with claim("s3: a write that says If-Match of an older version is refused"):
        seen = client.put_object(Bucket=name, Key="whole", Body=b"one")["ETag"]
        client.put_object(Bucket=name, Key="whole", Body=b"two", IfMatch=seen)
        with refused(ClientError, "PreconditionFailed"):
            client.put_object(Bucket=name, Key="whole", Body=b"three", IfMatch=seen)
    with claim(f"s3: of {RIVALS} who create the same object at once exactly one wins, {ROUNDS} times"):
        with ThreadPoolExecutor(RIVALS) as rivals:
            winners = [sum(rivals.map(lambda rival: creates(client, f"race-{n}", rival), range(RIVALS))) for n in range(ROUNDS)]
        assert winners == [1] * ROUNDS, winners
    keys = [{"Key": found["Key"]} for found in client.list_objects_v2(Bucket=name)["Contents"]]
    client.delete_objects(Bucket=name, Delete={"Objects": keys})
    client.delete_bucket(Bucket=name)


def bucket(secret: str):
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 0}, max_pool_connections=RIVALS, proxies={})
    return boto3.client("s3", endpoint_url=env["CLIPFLOW_S3_ENDPOINT"], region_name="us-east-1", config=config,
                        aws_access_key_id=env["CLIPFLOW_S3_ACCESS_KEY"], aws_secret_access_key=secret)


def creates(client, key: str, rival: int) -> bool:
    try:
        client.put_object(Bucket=name, Key=key, Body=str(rival).encode(), IfNoneMatch="*")
        return True
    except ClientError as error:
        assert error.response["Error"]["Code"] == "PreconditionFailed", error
        return False


@contextmanager
def refused(kind: type[Exception], code: str | None = None):
    try:
        yield
    except kind as error:
        assert code is None or error.response["Error"]["Code"] == code, error
        return
    raise AssertionError("it was allowed")


if __name__ == "__main__":
    main()
