"""Captures from a server that answers what a test wants: what is asked for, what is refused, and what is written."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.transcripts import run

WINDOW = ["--query", "up{job='a'} > 0", "--step", "10s", "--start", "100", "--end", "130"]


class Store:
    """An HTTP server with one answer.

    Attributes:
        answer: status and body of every answer.
        asked: path with query, and headers, of every request.
    """

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"")
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def matrix(self, *series: Any) -> None:
        """Answer with the result of a range query."""
        data = {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}
        self.answer = (200, json.dumps(data).encode())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                store.asked.append((self.path, dict(self.headers)))
                status, body = store.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def store() -> Iterator[Store]:
    """A server, and what it was asked."""
    server = Store()
    yield server
    server.close()


def series(values: list[tuple[float, str]], **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": "up", **labels}, "values": [list(one) for one in values]}


def capture(store: Store, cwd: Path, *more: str, **variables: str) -> Any:
    """Run a capture of the window into out.csv."""
    return run(["sonda", "new", "--from-prometheus", store.url, *WINDOW, "--out", "out.csv", *more], cwd, **variables)


def test_one_request_asks_for_the_window(store: Store, tmp_path: Path) -> None:
    """Exactly one, with the query as typed and instants in milliseconds; proxies of the environment are not used."""
    store.matrix(series([(100, "1"), (110, "2"), (130, "4.5")], job="a"))
    proxies = {
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }
    done = capture(store, tmp_path, **proxies)
    assert done.returncode == 0, done.stderr
    ((path, _),) = store.asked
    assert urlsplit(path).path == "/api/v1/query_range"
    asked = parse_qs(urlsplit(path).query)
    assert asked == {"query": ["up{job='a'} > 0"], "start": ["100.000"], "end": ["130.000"], "step": ["10.000"]}
    assert "+" in path
    assert done.stderr == "captured 1 series over 4 points to out.csv (1 missing sample)\n"
    assert (tmp_path / "out.csv").read_text() == (
        'timestamp,"{__name__=""up"", job=""a""}"\n100.000,1\n110.000,2\n120.000,\n130.000,4.5\n'
    )


def test_what_was_captured_runs(store: Store, tmp_path: Path) -> None:
    """The scenario on stdout replays the samples, a silence where one is missing, faster when asked for."""
    store.matrix(
        series([(100, "1"), (110, "2"), (130, "4")], job="a"), series([(t, "NaN") for t in (100, 110)], job="b")
    )
    done = capture(store, tmp_path, "--timescale", "100", "-o", "out.yaml")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.endswith("wrote out.yaml\n")
    ran = run(["sonda", "-q", "run", "out.yaml"], tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "") or "overriding rate" in ran.stderr
    lines = [line.rpartition(" ")[0] for line in ran.stdout.splitlines()]
    assert sorted(lines) == sorted(
        ['up{job="a"} 1', 'up{job="a"} 2', 'up{job="a"} 4', 'up{job="b"} NaN', 'up{job="b"} NaN']
    )


def test_a_token_is_sent_and_never_shown(store: Store, tmp_path: Path) -> None:
    """From the environment, unless a header says otherwise, in any case; then a note says that it is unused."""
    store.matrix(series([(100, "1"), (110, "1")]))
    done = capture(store, tmp_path, "-o", "out.yaml", SONDA_PROM_TOKEN="geheim")
    assert store.asked[0][1]["Authorization"] == "Bearer geheim"
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "geheim" not in written + done.stderr + done.stdout
    done = capture(
        store, tmp_path, "--header", "authORIZATION: Basic x", "--header", "X-Scope: a:b", SONDA_PROM_TOKEN="geheim"
    )
    headers = store.asked[1][1]
    assert (headers["authORIZATION"], headers["X-Scope"]) == ("Basic x", "a:b")
    assert done.stderr.startswith(
        "note: --header Authorization overrides SONDA_PROM_TOKEN; the environment token is unused\n"
    )
    assert "geheim" not in done.stderr


REFUSED: list[tuple[Any, str]] = [
    ((200, b"<html>"), "not valid JSON: "),
    (
        (200, b'{"status":"error","errorType":"bad_data","error":"oh"}'),
        'query failed (status "error", errorType bad_data): oh',
    ),
    ((200, b'{"status":"success","data":{"resultType":"vector"}}'), 'expected resultType "matrix", got "vector"'),
    ((200, b'{"status":"success","data":{"resultType":"matrix"}}'), "data.result is not an array"),
    ({"metric": {"__name__": "up"}}, 'series 0: "values" is missing or not an array'),
    ({"metric": {"k": 1}, "values": []}, 'series 0: label "k" is not a string'),
    ({"metric": {}, "values": [1]}, "series 0 sample 0: not a [timestamp, value] pair"),
    ({"metric": {}, "values": [[1, "1"], [1]]}, "series 0 sample 1: expected 2 elements, got 1"),
    ({"metric": {}, "values": [["1", "1"]]}, "series 0 sample 0: timestamp is not a number"),
    ({"metric": {}, "values": [[1, 1]]}, "series 0 sample 0: value is not a string"),
    ({"metric": {}, "values": [[1, "x"]]}, 'series 0 sample 0: value "x" does not parse as a number'),
    ({"metric": {}, "values": [[1, "1_0"]]}, 'series 0 sample 0: value "1_0" does not parse as a number'),
]


@pytest.mark.parametrize(("answer", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_an_unusable_answer_is_told_and_nothing_is_written(
    store: Store, tmp_path: Path, answer: Any, reason: str
) -> None:
    """The address without its query, and what is wrong with the answer, with the place in it."""
    if isinstance(answer, tuple):
        store.answer = answer
    else:
        store.matrix(answer)
    done = capture(store, tmp_path)
    assert done.returncode == 1
    prefix = (
        f"error: the range query failed: verification error: unusable response from {store.url}/api/v1/query_range: "
    )
    assert done.stderr.startswith(prefix + reason)
    assert list(tmp_path.iterdir()) == []


def test_a_status_of_the_server_is_told(store: Store, tmp_path: Path) -> None:
    """With what the server says."""
    store.answer = (503, b'{"status":"error","error":"busy"}')
    done = capture(store, tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("query against") == 1
    assert f"query against {store.url}/api/v1/query_range failed: status 503" in done.stderr
    assert done.stderr.endswith(": busy\n")


@pytest.mark.parametrize(
    ("found", "more", "text"),
    [
        ([], [], "the query matched no series over that range; widen --range or check --query"),
        ([series([(100, "1")], job=str(n)) for n in range(21)], [], "the query matched 21 series, over the cap of 20."),
        ([{"metric": {}, "values": [[100, "1"]]}, series([(100, "1")])], [], "1 of 2 series carry no metric name."),
        ([series([(100, "1")], job="a\nb")], [], "building the capture CSV: configuration error: "),
    ],
    ids=["none", "too many", "nameless", "line feed in a label"],
)
def test_series_that_cannot_be_captured(
    store: Store, tmp_path: Path, found: list[Any], more: list[str], text: str
) -> None:
    """Each with its remedy; nothing is written."""
    store.matrix(*found)
    done = capture(store, tmp_path, *more)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {text}")
    assert list(tmp_path.iterdir()) == []


def test_nameless_series_get_a_name(store: Store, tmp_path: Path) -> None:
    """--metric-name fills in those without one, and leaves the others."""
    store.matrix({"metric": {"job": "a"}, "values": [[100, "1"]]}, series([(100, "1")]))
    done = capture(store, tmp_path, "--metric-name", "total")
    assert done.returncode == 0, done.stderr
    heading = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert heading == 'timestamp,"{__name__=""total"", job=""a""}","{__name__=""up""}"'
