"""Log lines: their shape, their filter, and that nothing makes the caller wait or ends anything."""

import json
import logging
import os
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import logs
from common.logs import LINE_BYTES, LevelFilter, LineWriter, QueueHandler, fields, is_journal, line_of, target_of


@pytest.mark.parametrize(
    ("text", "target", "level"),
    [
        ("info", "sonda_server::loop", logging.INFO),
        ("WARN", "waitress", logging.WARNING),
        ("error", "sonda_server", logging.ERROR),
        ("debug", "sonda_server", logging.DEBUG),
        ("sonda_server=info", "sonda_server::http::scenarios", logging.INFO),
        ("sonda_server=info", "waitress", logging.ERROR),
        ("warn,sonda_server=debug", "sonda_server", logging.DEBUG),
        ("sonda_server=debug,warn", "waitress", logging.WARNING),
        ("sonda_server=warn,sonda_server::http=debug", "sonda_server::http::app", logging.DEBUG),
        ("sonda_server=warn,sonda_server::http=debug", "sonda_server::httpx", logging.WARNING),
        ("", "sonda_server", logging.INFO),
        ("loud", "sonda_server", logging.INFO),
        ("warn,error", "sonda_server", logging.INFO),
        ("sonda_server=loud", "sonda_server", logging.INFO),
        ("=warn", "sonda_server", logging.INFO),
    ],
)
def test_filter(text: str, target: str, level: int) -> None:
    """The longest directive that names a target decides; a text that is no filter means info."""
    assert LevelFilter(text).level(target) == level


def test_filter_off() -> None:
    """`off` shows nothing, not even critical records."""
    assert LevelFilter("off").level("sonda_server") > logging.CRITICAL


def test_filter_lowest() -> None:
    """The lowest level is what the loggers themselves must let through."""
    assert LevelFilter("warn,sonda_server::http=trace").lowest() == 1
    assert LevelFilter("warn").lowest() == logging.WARNING


@given(st.text())
def test_filter_takes_any_text(text: str) -> None:
    """No value of the variable keeps the daemon from starting."""
    LevelFilter(text).level("sonda_server")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("supervisor.http.scenarios", "sonda_server::http::scenarios"),
        ("worker", "sonda_server"),
        ("common.wire", "sonda_server::wire"),
        ("waitress.queue", "waitress::queue"),
        ("root", "root"),
    ],
)
def test_target(name: str, target: str) -> None:
    """Our own packages stand under the role, other libraries under their own name."""
    assert target_of(name, "sonda_server") == target


def test_line_shape() -> None:
    """A line is time, level, target, message and fields; values with blanks or quotes are quoted."""
    line = line_of(
        1_700_000_000_123_456_789,
        logging.WARNING,
        "sonda_server::loop",
        "scenario launched",
        {"id": "a-1", "count": 3, "error": 'no "such"\nfile', "empty": ""},
    )
    assert line == (
        b"2023-11-14T22:13:20.123456Z  WARN sonda_server::loop scenario launched "
        b'id=a-1 count=3 error="no \\"such\\"\\nfile" empty=""\n'
    )


@given(st.text(), st.dictionaries(st.sampled_from(["error", "traceback", "id"]), st.text(max_size=9000)))
def test_line_is_one_line(message: str, shown: dict[str, str]) -> None:
    """Whatever is logged makes one line of bounded size, which cannot pretend to be two."""
    line = line_of(0, logging.INFO, "t", message, shown)
    assert len(line) <= LINE_BYTES
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", line)
    line.decode()


def test_long_traceback_keeps_its_end() -> None:
    """Of a long traceback the last lines are shown, they name the error."""
    line = line_of(0, logging.ERROR, "t", "m", {"traceback": "x" * 9000 + "\nValueError: here"})
    assert line.endswith(b'ValueError: here"\n')


class _Pipe:
    """A pipe whose reading end plays the reader of stderr."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.received = b""

    def read_all(self) -> bytes:
        os.close(self.writer)
        while part := os.read(self.reader, 65536):
            self.received += part
        os.close(self.reader)
        return self.received


def test_writer_writes_in_order() -> None:
    """Lines arrive complete and in order, and closing waits for them."""
    pipe = _Pipe()
    writer = LineWriter(pipe.writer, "t")
    lines = [b"line %d\n" % number for number in range(1000)]
    for line in lines:
        writer.put(line)
    writer.close(10)
    assert pipe.read_all() == b"".join(lines)
    assert writer.dropped_total == 0


def test_full_queue_drops_newest_and_says_so() -> None:
    """With nobody reading, lines beyond the queue are dropped and counted; the count is told once reading resumes."""
    pipe = _Pipe()
    line = b"x" * 4095 + b"\n"
    writer = LineWriter(pipe.writer, "sonda_server::logs", capacity=10)
    for _ in range(100):
        writer.put(line)
    dropped = writer.dropped_total
    assert dropped >= 100 - 10 - 65536 // len(line) - 1
    closing = threading.Thread(target=writer.close, args=(10,))
    closing.start()
    while (received := os.read(pipe.reader, 65536)) and b"dropped" not in pipe.received + received:
        pipe.received += received
    pipe.received += received
    closing.join(30)
    text = pipe.read_all().decode()
    assert text.count("x" * 4095 + "\n") == 100 - dropped
    assert text.count(f"WARN sonda_server::logs {dropped} log lines dropped\n") == 1


def test_closed_destination_ends_nothing() -> None:
    """When stderr is gone, lines are dropped and counted and nothing is raised."""
    pipe = _Pipe()
    os.close(pipe.reader)
    writer = LineWriter(pipe.writer, "t")
    for _ in range(5):
        writer.put(b"line\n")
    writer.close(10)
    os.close(pipe.writer)
    assert writer.dropped_total == 5


def test_nonblocking_destination_loses_nothing() -> None:
    """A stderr that somebody made non-blocking gets every byte."""
    pipe = _Pipe()
    os.set_blocking(pipe.writer, False)
    writer = LineWriter(pipe.writer, "t")
    line = b"x" * 4000 + b"\n"
    for _ in range(50):
        writer.put(line)
    while len(pipe.received) < 50 * len(line):
        pipe.received += os.read(pipe.reader, 65536)
    writer.close(10)
    assert pipe.read_all() == line * 50


def test_close_is_bounded() -> None:
    """Closing gives up after its time when nobody reads."""
    pipe = _Pipe()
    writer = LineWriter(pipe.writer, "t")
    for _ in range(100):
        writer.put(b"x" * 4096)
    writer.close(0.01)
    os.set_blocking(pipe.reader, False)
    assert os.read(pipe.reader, 65536)
    os.close(pipe.reader)


def _logged(filter_text: str) -> tuple[logging.Logger, QueueHandler, _Pipe]:
    pipe = _Pipe()
    handler = QueueHandler("sonda_server", LevelFilter(filter_text), LineWriter(pipe.writer, "t"))
    logger = logging.Logger("supervisor.http.app")
    logger.addHandler(handler)
    return logger, handler, pipe


def test_handler_formats_fields_and_filters() -> None:
    """A record becomes a line with its fields; records below the level of their target are not shown."""
    logger, handler, pipe = _logged("sonda_server=info")
    logger.debug("hidden")
    logger.info("scenario %s", "launched", extra=fields(name="a b", message="m"))
    handler.writer.close(10)
    text = pipe.read_all().decode()
    assert text.endswith(' INFO sonda_server::http::app scenario launched name="a b" message=m\n')
    assert "hidden" not in text


def test_handler_shows_the_exception_in_the_same_line() -> None:
    """A traceback does not break the rule of one line per event."""
    logger, handler, pipe = _logged("info")
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it failed")
    handler.writer.close(10)
    text = pipe.read_all().decode()
    assert text.count("\n") == 1
    assert 'it failed error=broken traceback="Traceback (most recent call last):\\n' in text


@pytest.mark.parametrize(
    ("level", "head"),
    [(logging.CRITICAL, b"<3>ERROR"), (logging.WARNING, b"<4>WARN"), (logging.INFO, b"<6>INFO"), (1, b"<7>TRACE")],
)
def test_lines_for_the_journal(level: int, head: bytes) -> None:
    """The priority is a prefix that the journal takes off; the time is the journal's own."""
    assert line_of(None, level, "t", "m", {"a": 1}) == head + b" t m a=1\n"


def test_the_journal_is_known_by_its_stream() -> None:
    """Stderr may have been redirected since the variable was set: device and inode number decide."""
    pipe = _Pipe()
    status = os.fstat(pipe.writer)
    stream = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    assert is_journal(pipe.writer, stream)
    assert not is_journal(pipe.writer, {})
    assert not is_journal(0, stream)
    assert not is_journal(999_999, stream)
    writer = LineWriter(pipe.writer, "t", to_journal=True)
    writer.put(writer.line(logging.WARNING, "t", "m", {}))
    writer.close(10)
    assert pipe.read_all() == b"<4>WARN t m\n"


@given(message=st.text(max_size=6000), shown=st.dictionaries(st.text(max_size=20), st.text(max_size=6000), max_size=4))
def test_a_json_line_is_one_object_of_one_line(message: str, shown: dict[str, str]) -> None:
    """Whatever is logged; what is too long is cut, so that the line stays one write."""
    line = logs.json_line_of(1_700_000_000_123_456_789, logging.WARNING, "a::b", message, shown)
    assert len(line) <= logs.LINE_BYTES
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    record = json.loads(line)
    assert list(record) == ["time", "level", "target", "message", "fields"]
    assert (record["time"], record["level"]) == ("2023-11-14T22:13:20.123456Z", "WARN")
    assert message.startswith(record["message"])
    assert record["fields"].keys() == shown.keys()
    assert all(text.endswith(record["fields"][key]) for key, text in shown.items())


def test_a_json_line_of_the_journal_has_a_priority() -> None:
    """In place of the time, as a text line has; numbers stay numbers."""
    line = logs.json_line_of(None, logging.ERROR, "a", "b", {"workers": 2})
    assert line == b'<3>{"level":"ERROR","target":"a","message":"b","fields":{"workers":2}}\n'
