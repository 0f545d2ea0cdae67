"""Reads the public topic of events as a partner would: with Confluent's client, the CloudEvents SDK and the committed schemas.

    reader.py BROKERS TOPIC      such as clipflow.events, or clipflow.events.json

Nothing of ClipFlow's own code takes part. `read` returns the events that passed, each once, as CloudEvents JSON.
"""

import json
import sys
from pathlib import Path

import yaml
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, TopicPartition
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
# A local broker answers within milliseconds.
SECONDS_MAX = 30
REJECTED = "log.commit_rejected"


class Protobuf(JSONFormat):
    """The SDK's own format makes text of bytes that happen to be UTF-8."""

    def read_data(self, body: bytes, datacontenttype: str | None):
        return body if datacontenttype == "application/protobuf" else super().read_data(body, datacontenttype)


class Contract:
    """schemas/: which headers and which payload belong to a type of event."""

    def __init__(self, topic: str) -> None:
        self.document = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
        channel = self.document["channels"]["eventsJson" if topic.endswith(".json") else "events"]
        messages = [self.document["components"]["messages"][name] for name in channel["messages"]]
        self.messages = {message["name"]: message for message in messages}
        files = descriptor_pb2.FileDescriptorSet.FromString((SCHEMAS / "protobuf/clipflow.binpb").read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.registry = Registry().with_resource("asyncapi", Resource(self.document, DRAFT202012))

    def check_headers(self, event_type: str, headers: dict[str, bytes]) -> None:
        message = self.messages[event_type]
        texts = {name: value.decode() for name, value in headers.items()}
        trait = self.document["components"]["messageTraits"]["record"]["headers"]
        for schema in (message["headers"], trait):
            rooted = json.loads(json.dumps(schema).replace('"#/', '"asyncapi#/'))
            Draft202012Validator(rooted, registry=self.registry, format_checker=FormatChecker()).validate(texts)

    def payload(self, event_type: str, data: bytes | dict) -> dict:
        name = "".join(word.capitalize() for word in event_type.replace("_", ".").split("."))
        kind = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"clipflow.events.v1.{name}"))
        message = MessageToDict(kind.FromString(data)) if isinstance(data, bytes) else data
        schema = json.loads((SCHEMAS / self.messages[event_type]["payload"]["$ref"]).read_text())
        # Closed here, open for readers: what we write today must be what the schema of today names.
        Draft202012Validator({**schema, "unevaluatedProperties": False}, format_checker=FormatChecker()).validate(message)
        return message


def records(brokers: str, topic: str):
    """Every record from the first to what is the last now, partition by partition."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "contract", "enable.auto.commit": False})
    try:
        for partition in consumer.list_topics(topic, timeout=SECONDS_MAX).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=SECONDS_MAX)
            consumer.assign([TopicPartition(topic, partition, low)])
            while low < high:
                record = consumer.poll(SECONDS_MAX)
                assert record is not None and not record.error(), record and record.error()
                low = record.offset() + 1
                yield partition, record
    finally:
        consumer.close()


def read(brokers: str, topic: str) -> list[dict]:
    contract, events, next_position = Contract(topic), [], {}
    for partition, record in records(brokers, topic):
        headers = dict(record.headers())
        event = from_binary(KafkaMessage(headers, record.key(), record.value() or b""), Protobuf())
        kind = event.get_type()
        contract.check_headers(kind, headers)
        assert event.get_source() == f"/workspaces/{record.key().decode()}", "the key is not the workspace"
        if kind == REJECTED:
            continue
        position = int(event.get_extension("position"))
        if position < next_position.get(partition, 0):
            continue
        assert position == next_position.get(partition, 0), f"position {position} of partition {partition} follows a gap"
        next_position[partition] = position + 1
        data = contract.payload(kind, event.get_data())
        events.append({"id": event.get_id(), "type": kind, "subject": event.get_subject(), "position": str(position), "data": data})
    return events


def main() -> None:
    for event in read(*sys.argv[1:]):
        print(json.dumps(event))


if __name__ == "__main__":
    main()
