"""The HTTP sinks against real sockets: what they send, and how they take every kind of answer."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from common.errors import SinkError, SinkOpenError
from common.specs import HttpPush, Loki, SinkSpec
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver
from tests.support.station import Station
from worker.sinks import RequestSink
from worker.sinks.batching import Piece, Rejection
from worker.ticks.batch import Batch, Encoded


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def opened(station: Station, sink: SinkSpec, **fields: Any) -> RequestSink:
    built = station.request_sink(entry_plan(sink=sink, **fields))
    built.open()
    return built


def test_a_push_is_one_plain_request(station: Station, receiver: Receiver) -> None:
    """POST, HTTP/1.1, length known, the media type and path as written."""
    sink = opened(station, HttpPush(url=f"{receiver.url}/a b/c?x=1", content_type="text/plain"))
    assert sink.send(b"up 1\ndown 0\n") is None
    sink.close()
    (request,) = receiver.requests
    assert request.line == "POST /a%20b/c?x=1 HTTP/1.1"
    assert request.body == b"up 1\ndown 0\n"
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["content-length"] == "12"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["user-agent"] == "sondad"
    assert "transfer-encoding" not in request.headers


def test_written_headers_replace_ours(station: Station, receiver: Receiver) -> None:
    """Whatever the case of their names; other text than ASCII goes out as UTF-8."""
    headers = {"content-TYPE": "text/x", "Authorization": "Bearer t", "X-Name": "zürich"}
    sink = opened(station, HttpPush(url=receiver.url.replace("//", "//u:p@"), headers=headers))
    sink.send(b"x")
    sink.close()
    sent = receiver.requests[0].headers
    assert (sent["content-type"], sent["authorization"]) == ("text/x", "Bearer t")
    assert sent["x-name"].encode("latin-1").decode() == "zürich"


def test_user_information_of_the_url_logs_in(station: Station, receiver: Receiver) -> None:
    """As Basic authentication, its escapes resolved; no message ever shows the password."""
    sink = opened(station, Loki(url=receiver.url.replace("//", "//ann:p%40ss@")))
    sink.send(b"{}")
    receiver.close()
    assert receiver.requests[0].headers["authorization"] == "Basic YW5uOnBAc3M="
    with pytest.raises(SinkError) as caught:
        sink.send(b"{}")
    sink.close()
    assert f"'http://***@127.0.0.1:{receiver.port}/loki/api/v1/push'" in str(caught.value)


def test_a_connection_is_kept(station: Station, receiver: Receiver) -> None:
    """Many requests, one connection, bodies of answers read or not."""
    sink = opened(station, HttpPush(url=receiver.url))
    for _ in range(20):
        sink.send(b"x")
    sink.close()
    assert {request.connection for request in receiver.requests} == {0}
    assert len(receiver.requests) == 20


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"thanks"),
        Answer(200, b"x" * 60_000),
        Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        Answer(204),
    ],
    ids=["short", "long", "chunked", "none"],
)
def test_an_answer_of_any_length_keeps_the_connection(station: Station, answer: Answer) -> None:
    """Its body is read and ignored."""
    with Receiver(lambda _: answer) as receiver:
        sink = opened(station, HttpPush(url=receiver.url))
        for _ in range(3):
            assert sink.send(b"x") is None
        sink.close()
        assert receiver.connection_count == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"x" * 70_000),
        Answer(200, headers=("Connection: close",), then="close"),
        Answer(200, then="close"),
        Answer(raw=b"HTTP/1.0 200 OK\r\n\r\nuntil the end", then="close"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut", then="close"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ],
    ids=["endless", "says close", "closes", "HTTP/1.0", "too short", "broken chunk"],
)
def test_an_answer_that_ends_the_connection_is_as_good(station: Station, answer: Answer) -> None:
    """The status decides; the next request opens a new connection."""
    with Receiver(lambda _: answer) as receiver:
        sink = opened(station, HttpPush(url=receiver.url))
        assert sink.send(b"x") is None
        if answer.then == "close":
            # What the receiver has closed is seen before the next request is written.
            wait_until(lambda: receiver.ended_count, "the receiver has closed its connection")
        assert sink.send(b"y") is None
        sink.close()
        assert [request.body for request in receiver.requests] == [b"x", b"y"]
        assert receiver.connection_count == 2


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 499])
@pytest.mark.parametrize("kind", ["http_push", "loki"])
def test_a_refusal_is_no_error(station: Station, status: int, kind: str) -> None:
    """4xx drops the batch; what the receiver said is kept."""
    with Receiver(lambda _: Answer(status, b"because")) as receiver:
        sink = opened(station, HttpPush(url=receiver.url) if kind == "http_push" else Loki(url=receiver.url))
        url = receiver.url if kind == "http_push" else f"{receiver.url}/loki/api/v1/push"
        assert sink.send(b"x") == Rejection(f"HTTP {status} from '{url}': because")
        sink.close()


@pytest.mark.parametrize("status", [103, 301, 302, 304, 429, 500, 503, 599, 600, 999])
def test_any_other_status_can_be_tried_again(station: Station, status: int) -> None:
    """429, 5xx and what is no answer to a push at all; redirects are not followed."""
    with Receiver(lambda _: Answer(status, headers=("Location: /elsewhere",), then="close")) as receiver:
        sink = opened(station, Loki(url=receiver.url))
        with pytest.raises(SinkError) as caught:
            sink.send(b"x")
        sink.close()
        assert str(caught.value) == f"HTTP {status} from '{receiver.url}/loki/api/v1/push'"
        assert caught.value.retriable
        assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (Answer(raw=b"220 mail.example ESMTP\r\n", then="close"), "the answer is not HTTP"),
        (Answer(raw=b"", then="close"), "the connection was closed without an answer"),
        (Answer(then="reset"), "Connection reset by peer (os error 104)"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200), "the answer is not HTTP"),
        (Answer(raw=b"HTTP/1.1 200 " + b"x" * 70_000), "the answer is not HTTP"),
        (Answer(raw=b"HTTP/1.1 abc\r\n\r\n"), "the answer is not HTTP"),
    ],
    ids=["not HTTP", "closed", "reset", "many headers", "long line", "no number"],
)
def test_a_broken_answer_says_what_it_was(station: Station, answer: Answer, cause: str) -> None:
    """In plain words, and it can be tried again."""
    with Receiver(lambda _: answer) as receiver:
        sink = opened(station, HttpPush(url=receiver.url))
        with pytest.raises(SinkError) as caught:
            sink.send(b"x")
        sink.close()
        assert str(caught.value) == f"HTTP push to '{receiver.url}' failed: {cause}"
        assert caught.value.retriable


def test_a_refused_connection_says_so(station: Station) -> None:
    """With the operating system's words and number."""
    with Receiver() as receiver:
        url = receiver.url
    sink = opened(station, HttpPush(url=url))
    with pytest.raises(SinkError) as caught:
        sink.send(b"x")
    sink.close()
    assert str(caught.value) == f"HTTP push to '{url}' failed: Connection refused (os error 111)"
    assert caught.value.retriable


def test_a_receiver_without_tls_says_so(station: Station) -> None:
    """An answer in plain text to the first words of TLS is told from other TLS failures."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        sink = opened(station, HttpPush(url=url))
        with pytest.raises(SinkError) as caught:
            sink.send(b"x")
        sink.close()
        thread.join(30)
        assert str(caught.value) == f"HTTP push to '{url}' failed: the receiver does not speak TLS"


def test_an_unknown_host_says_so(station: Station) -> None:
    """A name that no resolver has is a failure like any other."""
    sink = opened(station, HttpPush(url="http://no-such-host.invalid:1/"))
    with pytest.raises(SinkError, match="failed: failed to lookup address information: ") as caught:
        sink.send(b"x")
    sink.close()
    assert caught.value.retriable


def test_a_receiver_that_came_back_is_found(station: Station) -> None:
    """After a failure the next request connects again."""
    answers = {0: Answer(then="reset"), 1: Answer(500), 2: Answer()}
    with Receiver(answers.__getitem__) as receiver:
        sink = opened(station, HttpPush(url=receiver.url))
        for _ in range(2):
            with pytest.raises(SinkError):
                sink.send(b"x")
        assert sink.send(b"x") is None
        sink.close()
        assert receiver.kept == [b"x"]


def test_a_long_body_arrives_whole(station: Station, receiver: Receiver) -> None:
    """Longer than any buffer on the way."""
    body = bytes(range(256)) * (1 << 15)
    sink = opened(station, HttpPush(url=receiver.url))
    assert sink.send(body) is None
    sink.close()
    assert receiver.kept == [body]


@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 2], [300_000] * 30, [5_000_000, 1, 7_000_000], [1000] * 500])
def test_a_body_in_parts_arrives_whole(station: Station, receiver: Receiver, sizes: list[int]) -> None:
    """Also where the system takes it bit by bit: every part once, in order."""
    parts = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    sink = opened(station, HttpPush(url=receiver.url))
    assert sink.send([memoryview(part) if number % 2 else part for number, part in enumerate(parts)]) is None
    sink.close()
    assert receiver.kept == [b"".join(parts)]


def test_many_small_pieces_are_one_part(station: Station) -> None:
    """What the system would not take in one call is joined, and the body is the same."""
    batch = Batch(0, np.zeros(2000), np.zeros(2000, dtype=np.int64))
    encoded = Encoded(b"".join(b"%d\n" % number for number in range(2000)), 2000)
    pieces = [Piece(batch, encoded, number, 1, b"%d\n" % number, 0) for number in range(2000)]
    sink = opened(station, HttpPush(url="http://127.0.0.1:1"))
    for some in (pieces, pieces[:3]):
        assert b"".join(sink.request(some)) == b"".join(piece.payload for piece in some)
    assert len(sink.request(pieces)) == 1
    sink.close()


def test_an_answer_before_the_body_is_read_counts(station: Station) -> None:
    """A receiver may refuse a body by its length, and close: that is its answer, not a broken pipe."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        sink = opened(station, HttpPush(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        note = sink.send(b"x" * 20_000_000)
        sink.close()
        thread.join(30)
        assert note is not None
        assert note.words.startswith("HTTP 413 from")


def test_an_ipv6_address_is_reached(station: Station) -> None:
    """Brackets are part of the URL, not of the address."""
    with Receiver(host="::1") as receiver:
        sink = opened(station, HttpPush(url=receiver.url))
        assert sink.send(b"x") is None
        sink.close()
        assert receiver.requests[0].headers["host"] == f"[::1]:{receiver.port}"


@pytest.mark.parametrize("answer", [Answer(silent=True), Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le")])
def test_a_silent_receiver_holds_nobody_beyond_the_stop(station: Station, answer: Answer) -> None:
    """The deadline of a stop amid a request ends it; what comes after fails at once, and nothing is tried again."""
    with Receiver(lambda _: answer) as receiver:
        sink = opened(station, HttpPush(url=receiver.url))

        def stop() -> None:
            wait_until(lambda: receiver.requests, "the request")
            station.stop(1.0)

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(SinkError, match="no answer before the scenario had to stop") as caught:
            sink.send(b"x")
        stopping.join()
        assert station.control.stopping
        assert not caught.value.retriable
        with pytest.raises(SinkError, match="the scenario's time to stop is over"):
            sink.send(b"y")
        sink.close()
        assert [request.body for request in receiver.requests] == [b"x"]


def test_a_dripping_receiver_holds_nobody_beyond_the_stop(station: Station) -> None:
    """Not even one that sends a byte now and then, so that no single read times out."""
    released = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            station.stop(1.0)
            with connection:
                while not released.wait(0.05):
                    try:
                        connection.sendall(b"X-A: b\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        sink = opened(station, HttpPush(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        with pytest.raises(SinkError):
            sink.send(b"x")
        sink.close()
        released.set()
        thread.join(30)


@pytest.mark.parametrize(
    ("first", "rest", "taken"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", True),
    ],
    ids=["interim answers", "fields", "trailers", "chunks"],
)
def test_an_answer_without_end_is_cut_off(station: Station, first: bytes, rest: bytes, taken: bool) -> None:
    """However fast it comes, so that no read ever waits: the worker hears a stop, and what the status says holds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pour() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(first)
                while True:
                    connection.sendall(rest * 1000)

        thread = threading.Thread(target=pour)
        thread.start()
        sink = opened(station, HttpPush(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        station.stop(60.0)
        if taken:
            assert sink.send(b"x") is None
        else:
            with pytest.raises(SinkError, match=r"the answer (has no end|is not HTTP)") as caught:
                sink.send(b"x")
            assert caught.value.retriable
        sink.close()
        thread.join(30)
        assert station.control.stopping


def test_a_query_stands_behind_the_path_of_the_protocol(station: Station, receiver: Receiver) -> None:
    """What a Loki URL asks for beside its path stays a query."""
    sink = opened(station, Loki(url=f"{receiver.url}/loki?tenant=a&b=c d"))
    assert sink.send(b"{}") is None
    sink.close()
    assert receiver.requests[0].line == "POST /loki/loki/api/v1/push?tenant=a&b=c%20d HTTP/1.1"


def test_commands_are_heard_between_answers_that_come_at_once(station: Station, receiver: Receiver) -> None:
    """However many of them follow each other: not every wait looks at commands."""
    sink = opened(station, HttpPush(url=receiver.url))
    station.stop(60.0)
    while not station.control.stopping:
        assert sink.send(b"x") is None
    sink.close()


def test_a_slow_answer_within_the_time_is_waited_for(station: Station) -> None:
    """Late is not lost."""
    with Receiver(lambda _: Answer(delay_secs=0.3)) as receiver:
        sink = opened(station, HttpPush(url=receiver.url))
        assert sink.send(b"x") is None
        sink.close()


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (HttpPush(url="ftp://h"), "invalid HTTP push URL 'ftp://h': must start with http:// or https://"),
        (Loki(url="h:3100"), "invalid Loki URL 'h:3100': must start with http:// or https://"),
        (HttpPush(url="http://"), "invalid HTTP push URL 'http://': it has no host"),
        (HttpPush(url="http://[::1"), "invalid HTTP push URL 'http://[::1': its host cannot be read"),
        (
            HttpPush(url="http://a b"),
            "invalid HTTP push URL 'http://a b': its host holds a blank or a control character",
        ),
        (
            HttpPush(url="http://h:port"),
            "invalid HTTP push URL 'http://h:port': its port is not a number from 1 to 65535",
        ),
        (HttpPush(url="ftp://u:pw@h"), "invalid HTTP push URL 'ftp://***@h': must start with http:// or https://"),
        (
            HttpPush(url="http://h", headers={"Content-Length": "5"}),
            "header 'Content-Length' is set by the sink itself, remove it from `headers`",
        ),
        (
            HttpPush(url="http://h", headers={"a b": "c"}),
            "header name 'a b' has characters that HTTP does not allow",
        ),
        (
            HttpPush(url="http://h", headers={"X-Token": "secret\r\nX: y"}),
            "the value of header 'X-Token' has control characters, which HTTP does not allow",
        ),
    ],
)
def test_what_cannot_be_requested_is_refused_at_the_opening(station: Station, spec: SinkSpec, text: str) -> None:
    """With the reason, and without a secret in it."""
    sink = station.request_sink(entry_plan(sink=spec))
    with pytest.raises(SinkOpenError) as caught:
        sink.open()
    assert str(caught.value) == text
    sink.close()


def test_opening_contacts_nobody(station: Station, receiver: Receiver) -> None:
    """Only a request connects."""
    sink = opened(station, HttpPush(url=receiver.url))
    sink.close()
    sink.close()
    assert receiver.connection_count == 0


def test_a_loki_push_goes_to_the_push_path(station: Station, receiver: Receiver) -> None:
    """JSON with the static labels; a trailing slash of the URL stays."""
    sink = opened(station, Loki(url=f"{receiver.url}/"), labels={"rack": "r2", "app": "edge"})
    before_ns = time.time_ns()
    batch = Batch(0, np.zeros(2), np.zeros(2, dtype=np.int64))
    encoded = Encoded(b"up\ndown\n", 2)
    sink.send(sink.request([Piece(batch, encoded, 0, 2, encoded.payload, before_ns)]))
    sink.close()
    (request,) = receiver.requests
    assert request.line == "POST //loki/api/v1/push HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    expected = [[str(before_ns), "up"], [str(before_ns + 1), "down"]]
    assert json.loads(request.body) == {"streams": [{"stream": {"app": "edge", "rack": "r2"}, "values": expected}]}
    assert b" " not in request.body
