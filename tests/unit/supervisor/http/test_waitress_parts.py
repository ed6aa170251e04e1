"""What is used of waitress behind its public interface is still there, as it was."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from waitress import trigger, wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, Task, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from supervisor.http import waitress_parts

_USED: dict[Any, str] = {
    wasyncore.poll2: "(timeout=0.0, map=None)",
    wasyncore.dispatcher.close: "(self)",
    trigger.trigger.pull_trigger: "(self, thunk=None)",
    trigger.trigger.close: "(self)",
    Adjustments.__init__: "(self, **kw)",
    HTTPChannel.__init__: "(self, server, sock, addr, adj, map=None)",
    HTTPChannel.readable: "(self)",
    HTTPChannel.writable: "(self)",
    HTTPChannel.handle_write: "(self)",
    HTTPChannel.handle_close: "(self)",
    HTTPChannel.write_soon: "(self, data)",
    HTTPChannel.service: "(self)",
    HTTPChannel._flush_outbufs_below_high_watermark: "(self)",
    HTTPRequestParser.__init__: "(self, adj)",
    HTTPRequestParser.received: "(self, data)",
    HTTPRequestParser.parse_header: "(self, header_plus)",
    HTTPRequestParser.get_body_stream: "(self)",
    HTTPRequestParser.close: "(self)",
    ChunkedReceiver.__init__: "(self, buf)",
    ReadOnlyFileBasedBuffer.__init__: "(self, file, block_size=32768)",
    ReadOnlyFileBasedBuffer.prepare: "(self, size=None)",
    BaseWSGIServer.__init__: "(self, application, map=None, _start=True, _sock=None, dispatcher=None, adj=None, "
    "sockinfo=None, bind_socket=True, **kw)",
    BaseWSGIServer.add_task: "(self, task)",
    BaseWSGIServer.readable: "(self)",
    BaseWSGIServer.handle_accept: "(self)",
    BaseWSGIServer.maintenance: "(self, now)",
    BaseWSGIServer.pull_trigger: "(self)",
    Task.build_response_header: "(self)",
    Task.set_close_on_finish: "(self)",
    WSGITask.get_environment: "(self)",
    ErrorTask.execute: "(self)",
    Error.to_response: "(self, ident=None)",
    ThreadedTaskDispatcher.add_task: "(self, task)",
    ThreadedTaskDispatcher.set_thread_count: "(self, count)",
    ThreadedTaskDispatcher.shutdown: "(self, cancel_pending=True, timeout=5)",
}
"""What is called or overridden, and the parameters it had when that was written."""


@pytest.mark.parametrize(("used", "signature"), _USED.items(), ids=lambda value: getattr(value, "__qualname__", ""))
def test_each_part_is_as_it_was_when_it_was_used(used: Any, signature: str) -> None:
    """A release that changes parameters of a part fails here, by its name."""
    found = inspect.signature(used)
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in found.parameters.values()]
    assert str(inspect.Signature(parameters)) == signature


_ATTRIBUTES = {
    "HTTPChannel": ("requests", "requests_lock", "request", "connected", "last_activity", "total_outbufs_len"),
    "HTTPChannel flags": ("close_when_flushed", "parser_class", "task_class"),
    "HTTPRequestParser": ("body_rcv", "chunked", "command", "completed", "connection_close", "content_length", "error"),
    "HTTPRequestParser heads": ("expect_continue", "header_plus", "headers", "headers_finished", "version"),
    "ChunkedReceiver": ("buf", "control_line", "trailer"),
    "BaseWSGIServer": ("active_channels", "adj", "application", "channel_class", "in_connection_overflow", "trigger"),
    "Task": ("close_on_finish", "complete", "content_length", "has_body", "response_headers", "status", "wrote_header"),
    "ThreadedTaskDispatcher": ("queue_logger", "threads"),
}


@pytest.mark.parametrize("owner", _ATTRIBUTES)
def test_the_attributes_that_are_read_and_set_are_theirs(owner: str) -> None:
    """Each is mentioned in the module of its class, so that setting it means something."""
    name = owner.partition(" ")[0]
    module = inspect.getmodule(globals()[name])
    assert module is not None
    words = {node.attr for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Attribute)}
    assigned = {name for value in vars(module).values() if inspect.isclass(value) for name in vars(value)}
    assert set(_ATTRIBUTES[owner]) <= words | assigned


def test_nothing_else_of_ours_imports_waitress() -> None:
    """One file knows the library."""
    root = Path(waitress_parts.__file__).parents[1]
    texts = [(path.name, path.read_text()) for path in root.rglob("*.py")]
    users = [name for name, text in texts if "waitress" in text and "waitress" in _imported(text)]
    assert sorted(users) == ["waitress_parts.py"]


def _imported(text: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names
