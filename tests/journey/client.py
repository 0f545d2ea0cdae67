"""A frontend's view of ClipFlow in plain Python: GraphQL over HTTP and websocket, tus uploads, signed media."""

import http.client
import json
from urllib.parse import urlsplit

from websockets.sync.client import connect

TIMEOUT_SECONDS = 60


class Refused(Exception):
    """A GraphQL error; `code` is what programs branch on."""

    def __init__(self, error: dict) -> None:
        super().__init__(error["message"])
        self.code = error.get("extensions", {}).get("code")


class Client:
    def __init__(self, address: str, key: str | None) -> None:
        self.address, self.key = address, key

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None, signed: bool = True):
        """Returns (status, headers in lower case, body)."""
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_SECONDS)
        allowed = {"Authorization": f"Bearer {self.key}"} if signed and self.key else {}
        connection.request(method, path, body, {**allowed, **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data

    def graphql(self, query: str, **variables) -> dict:
        body = json.dumps({"query": query, "variables": variables}).encode()
        status, _, data = self.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        if status >= 500:
            raise AssertionError(f"GraphQL answered {status}: {data[:500]!r}")
        answer = json.loads(data)
        if answer.get("errors"):
            raise Refused(answer["errors"][0])
        return answer["data"]

    def subscribe(self, query: str, **variables):
        """Yields the data of every message of a subscription, over graphql-transport-ws."""
        with connect(f"ws://{self.address}/graphql/ws", subprotocols=["graphql-transport-ws"], max_size=2**24) as socket:
            socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {self.key}"}}))
            self._expect(socket, "connection_ack")
            socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}}))
            while True:
                message = json.loads(socket.recv(timeout=TIMEOUT_SECONDS * 5))
                if message["type"] == "ping":
                    socket.send(json.dumps({"type": "pong"}))
                elif message["type"] == "next":
                    if message["payload"].get("errors"):
                        raise Refused(message["payload"]["errors"][0])
                    yield message["payload"]["data"]
                elif message["type"] == "error":
                    raise Refused(message["payload"][0])
                elif message["type"] == "complete":
                    return

    @staticmethod
    def _expect(socket, kind: str) -> None:
        message = json.loads(socket.recv(timeout=TIMEOUT_SECONDS))
        if message["type"] != kind:
            raise AssertionError(f"expected {kind}, got {message}")


class Upload:
    """A tus 1.0 upload that its owner may leave and come back to."""

    VERSION = {"Tus-Resumable": "1.0.0"}

    def __init__(self, client: Client, url: str) -> None:
        self.client, parts = client, urlsplit(url)
        self.path = parts.path + (f"?{parts.query}" if parts.query else "")

    def offset(self) -> int:
        status, headers, _ = self.client.request("HEAD", self.path, headers=self.VERSION)
        assert status in (200, 204), f"asking for the offset answered {status}"
        return int(headers["upload-offset"])

    def send(self, offset: int, chunk: bytes) -> tuple[int, dict, bytes]:
        content = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        return self.client.request("PATCH", self.path, chunk, {**self.VERSION, **content})

    def break_off(self, offset: int, chunk: bytes, after: int) -> None:
        """Announces a chunk, sends `after` bytes of it and hangs up, as a phone in a tunnel does."""
        connection = http.client.HTTPConnection(self.client.address, timeout=TIMEOUT_SECONDS)
        connection.putrequest("PATCH", self.path)
        headers = {**self.VERSION, "Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        for name, value in {**headers, "Content-Length": str(len(chunk)), "Authorization": f"Bearer {self.client.key}"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(chunk[:after])
        connection.close()
