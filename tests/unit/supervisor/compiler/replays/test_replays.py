"""CSV replays: files, columns, rates, blank cells, log rows."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.plan import ReplayColumn, ReplayRows, Silence
from supervisor.compiler.replays import metric_replay as replay
from supervisor.compiler.replays.csv_columns import read_header
from supervisor.compiler.replays.csv_text import split_quoted
from supervisor.compiler.replays.silences import SilentRows
from tests.support.compiling import Refusal, body, entry, plan_of, refusal_of

RUNTIME = "configuration error: scenario[0]: "


class File:
    """A CSV file and the bodies that replay it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def body(self, text: str | bytes, fields: dict[str, Any] | None = None, **spec: Any) -> str:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        generator = {"type": "csv_replay", "file": str(self.path)} | spec
        return body(entry(**{"generator": generator} | (fields or {})))

    def columns(self, text: str, fields: dict[str, Any] | None = None, **spec: Any) -> list[tuple[str, list[float]]]:
        plans = [one.plan for one in plan_of(self.body(text, fields, **spec)).entries]
        return [(plan.name, values_of(plan.generator)) for plan in plans]

    def fault(self, text: str | bytes, fields: dict[str, Any] | None = None, **spec: Any) -> str:
        status, detail = refusal_of(self.body(text, fields, **spec))
        assert status == 422
        assert detail.startswith(RUNTIME)
        return detail.removeprefix(RUNTIME).removesuffix(f' (file "{self.path}")')


@pytest.fixture
def csv(tmp_path: Path) -> File:
    return File(tmp_path / "data.csv")


def values_of(generator: Any) -> list[float]:
    assert isinstance(generator, ReplayColumn)
    return np.frombuffer(generator.values, "<f8").tolist()


def test_every_column_becomes_a_scenario(csv: File) -> None:
    """Columns behind the first are replayed under the names of the header, at the rate of the first."""
    plan = plan_of(csv.body("timestamp,cpu,mem\n0,1,2\n10,3,4\n20,5,6\n", {"labels": {"a": "b"}}, repeat=False))
    assert [(one.plan.name, one.plan.rate, one.plan.labels) for one in plan.entries] == [
        ("cpu", 0.1, {"a": "b"}),
        ("mem", 0.1, {"a": "b"}),
    ]
    assert [values_of(one.plan.generator) for one in plan.entries] == [[1, 3, 5], [2, 4, 6]]
    assert plan.entries[0].config["rate"] == 0.1
    assert plan.entries[0].config["generator"] == {"type": "csv_replay", "file": str(csv.path), "repeat": False}


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("t,v\n0,1\n10,1\n20,1\n", 0.1),
        ("t,v\n0,1\n4,1\n", 0.25),
        ("t,v\n0,1\n3,1\n", 0.3333333333333333),
        ("t,v\n0,1\n1,1\n3,1\n7,1\n15,1\n", 1 / 3),
        ("t,v\n1700000000000,1\n1700000015000,1\n", 0.06666666666666667),
        ("t,v\n999999999990,1\n1e12,1\n", 0.1),
        ("# c\n\nt , v \r\n 0 , 1\r\n  # d\n1,1\r\n", 1.0),
    ],
)
def test_rates_of_files(csv: File, text: str, rate: float) -> None:
    """The rate is one over the median distance of timestamps in seconds or, beyond 1e12, milliseconds."""
    plan = plan_of(csv.body(text)).entries[0].plan
    assert plan.rate == rate
    assert plan_of(csv.body(text, timescale=2)).entries[0].plan.rate == pytest.approx(2 * rate)


def test_only_the_first_hundred_rows_make_the_rate(csv: File) -> None:
    """The median is taken of the first 101 lines that count."""
    rows = [f"{n},1" for n in range(100)] + [f"{99 + 100 * n},1" for n in range(1, 300)]
    assert plan_of(csv.body("t,v\n" + "\n".join(rows))).entries[0].plan.rate == 1.0


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5.", 5.0),
        (".5", 0.5),
        ("+1", 1.0),
        ("1e3", 1000.0),
        ("inf", np.inf),
        ("-Infinity", -np.inf),
        ("1e999", np.inf),
    ],
)
def test_numbers_of_cells(csv: File, cell: str, value: float) -> None:
    """A cell is a decimal number, infinity or NaN; what overflows is infinite."""
    assert csv.columns(f"t,v\n0,{cell}\n1, {cell} \n") == [("v", [value, value])]


def test_nan_is_a_value(csv: File) -> None:
    """The text NaN is a sample like any other, needing no window."""
    ((_, values),) = csv.columns("t,v\n0,NaN\n1,nan\n")
    assert np.isnan(values).all()


@pytest.mark.parametrize("cell", ["x", "1_0", "٣", "0x10", '"1"', "1 2", "\x1c1"])
def test_what_is_no_number(csv: File, cell: str) -> None:
    """Anything else is refused with its line and column, not dropped."""
    shown = cell.replace('"', '\\"')
    assert csv.fault(f"# c\nt,a,v\n0,1,1\n1,2,{cell}\n") == (
        f'csv_replay: line 4, column 2: "{shown}" is not a number. Leave the cell empty to mark an absent sample (and '
        "declare the matching `gap_windows:` entry); anything else is a typo that would otherwise be dropped, shifting "
        "every later sample one step earlier."
    )


@pytest.mark.parametrize(
    ("header", "name", "labels"),
    [
        ("v", "v", {}),
        ('"a,b"', "a,b", {}),
        ('"say ""hi"""', 'say "hi"', {}),
        ("v{a=1 b}", "v", {"a": "1 b"}),
        ('"v{a=""x,y"",b=z}"', "v", {"a": "x,y", "b": "z"}),
        ('"{__name__=""m"", k=""v""}"', "m", {"k": "v"}),
        ('"m{__name__=""n""}"', "m", {"__name__": "n"}),
        ('"{__name__=""m"",k=""a\\""b\\\\""}"', "m", {"k": 'a"b\\'}),
        ("v{a=1}}x", "v", {"a": "1}"}),
        ("v{}", "v", {}),
    ],
)
def test_header_cells(csv: File, header: str, name: str, labels: dict[str, str]) -> None:
    """A header cell is a name, with a block of labels, or a block that names the metric itself."""
    assert read_header(f"t,{header}")[1] == (name, labels)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("v{a=1", "csv_header: unmatched '{' — missing closing '}'"),
        ("v{a}", "csv_header: expected '=' in label pair, got: \"a\""),
        ("v{=1}", "csv_header: empty label key"),
        ('"v{a=""x}"', "csv_header: unterminated quoted value"),
        ('"v{a=""x\\}"', "csv_header: unterminated escape in quoted value"),
        ('"v{a=""\\"', "csv_header: unmatched '{' — missing closing '}'"),
    ],
)
def test_broken_header_cells(csv: File, header: str, message: str) -> None:
    """A label block outside its grammar is refused, explicit columns or not."""
    text = f"t,{header}\n0,1\n1,1\n"
    assert csv.fault(text) == message
    assert csv.fault(text, columns=[{"index": 1, "name": "v"}]) == message


def test_explicit_columns(csv: File) -> None:
    """Listed columns need no header, take its labels where there is one, and may override them."""
    columns = [{"index": 2, "name": "b", "labels": {"x": "2"}}, {"index": 1, "name": "a"}]
    assert csv.columns("0,1,2\n1,3,4\n", columns=columns) == [("b", [2, 4]), ("a", [1, 3])]
    plan = plan_of(csv.body('t,m,"n{x=1,y=3}"\n0,1,2\n1,3,4\n', columns=columns))
    assert [one.plan.labels for one in plan.entries] == [{"x": "2", "y": "3"}, {}]


def test_nameless_columns(csv: File) -> None:
    """A column without a name takes the default one, numbered when there are several."""
    assert [name for name, _ in csv.columns("t,{a=1}\n0,1\n1,1\n", default_metric_name="d")] == ["d"]
    names = [name for name, _ in csv.columns("t,{a=1},x,{a=2}\n0,1,1,1\n1,1,1,1\n", default_metric_name="d")]
    assert names == ["d_1", "x", "d_3"]


@pytest.mark.parametrize(
    ("text", "spec", "message"),
    [
        (
            "",
            {"columns": []},
            "csv_replay: 'columns' must not be empty; provide at least one column spec or omit the field",
        ),
        (
            "",
            {"columns": [{"index": 1, "name": "a"}, {"index": 1, "name": "b"}]},
            "csv_replay: duplicate column index 1; each column index must be unique",
        ),
        (
            "",
            {"columns": [{"index": 1, "name": "a"}, {"index": 2, "name": "a"}]},
            "csv_replay: duplicate column name 'a'; each column name must be unique",
        ),
        ("", {"timescale": 0}, "csv_replay: 'timescale' must be a positive finite number, got 0"),
        ("", {"timescale": -0.5}, "csv_replay: 'timescale' must be a positive finite number, got -0.5"),
        ("# only\n\n", {}, 'csv_replay: file "PATH" has no non-comment, non-empty lines'),
        (
            "0,1\n1,2\n",
            {},
            (
                "csv_replay: CSV file has no header row (first data line is all numeric); provide explicit 'columns' "
                "in the config"
            ),
        ),
        ("time\n0\n1\n", {}, "csv_replay: no data columns found after skipping column 0"),
        (
            "t,{a=1}\n0,1\n1,1\n",
            {},
            (
                "csv_replay: column 1 has no metric name (header has labels only with no __name__); set "
                "'default_metric_name' on the generator config"
            ),
        ),
        (
            "t,{a=1},d\n0,1,1\n1,1,1\n",
            {"default_metric_name": "d"},
            (
                "csv_replay: default_metric_name produced 'd' for column 1 which collides with an explicitly named "
                "column. Rename the conflicting __name__ in the CSV header or set a different 'default_metric_name'."
            ),
        ),
        ("t,v\n0,1\nx,1\n", {}, 'csv_replay: failed to parse timestamp at data row 1 column 0: "x"'),
        ("t,v\ninf,1\n", {}, 'csv_replay: failed to parse timestamp at data row 0 column 0: "inf"'),
        (
            "t,v\n0,1\n5,1\n5,x\n",
            {},
            (
                'csv_replay: file "PATH" has non-monotonic timestamps at data row 2: 5 is not greater than the '
                "previous row's 5.\n\n  hint: the timestamp column must strictly increase; sonda replays rows in file "
                "order and derives the rate from it"
            ),
        ),
        ("t,v\n0,1\n", {}, 'csv_replay: file "PATH" has fewer than 2 data rows; cannot derive replay rate'),
        (
            "t,v,w\n0,1,1\n1,1\n",
            {},
            (
                "csv_replay: line 3 has 2 column(s), so column 2 is missing. Every data row must carry every column — "
                "a short row would otherwise drop a slot and shift the rest of the timeline earlier."
            ),
        ),
        ("t,CPU Usage\n0,1\n1,1\n", {}, 'invalid metric name "CPU Usage": must match [a-zA-Z_:][a-zA-Z0-9_:]*'),
        ("t,v{a-b=1}\n0,1\n1,1\n", {}, 'invalid label key "a-b": must match [a-zA-Z_][a-zA-Z0-9_]*'),
        ("t,v\n0,1\n5e-324,1\n", {}, "rate must be positive, got inf"),
    ],
)
def test_files_that_cannot_be_replayed(csv: File, text: str, spec: dict[str, Any], message: str) -> None:
    """Each fault of a file or of the block that names it is a 422."""
    assert csv.fault(text, **spec) == message.replace("PATH", str(csv.path))


def test_files_that_cannot_be_read(csv: File, tmp_path: Path) -> None:
    """A missing file, a directory, a pipe, and bytes that are no UTF-8 are refused by name, without waiting."""

    def fault(path: Path) -> str:
        refusal = refusal_of(body(entry(generator={"type": "csv_replay", "file": str(path)})))
        assert refusal.status == 422
        return refusal.detail.removeprefix(RUNTIME)

    missing, pipe = tmp_path / "none.csv", tmp_path / "pipe"
    os.mkfifo(pipe)
    assert fault(missing) == f'generator error: cannot read file "{missing}"'
    assert fault(tmp_path) == f'generator error: cannot read file "{tmp_path}": it is not a regular file'
    assert fault(pipe) == f'generator error: cannot read file "{pipe}": it is not a regular file'
    assert csv.fault(b"t,v\n0,1\n1,\xff\n") == (
        f'generator error: cannot read file "{csv.path}": line 3, byte 3 is not UTF-8 (invalid start byte)'
    )
    assert csv.fault("t,v\n0,1\n1," + "1" * 70_000) == (
        f'generator error: cannot read file "{csv.path}": line 3 has more than 65536 characters'
    )


def test_files_stay_inside_the_allowed_roots(csv: File, tmp_path: Path) -> None:
    """A replayed file is under the same roots as a written one."""
    text = csv.body("t,v\n0,1\n1,1\n")
    assert plan_of(text, allowed=(tmp_path,))
    assert "--allow-path" in refusal_of(text, allowed=(tmp_path / "x",)).detail


def test_cells_of_a_body_are_bounded(csv: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """All replays of a body share one budget of cells and of bytes."""
    monkeypatch.setattr(replay, "MAX_CELLS", 3)
    assert "goes beyond the 3 cells" in csv.fault("t,v,w\n0,1,1\n1,1,1\n")
    monkeypatch.setattr(replay, "MAX_CELLS", 4)
    assert csv.columns("t,v,w\n0,1,1\n1,1,1\n")
    monkeypatch.setattr(replay, "MAX_CSV_BYTES", 10)
    assert "exceeds what is left" in csv.fault("t,v,w\n0,1,1\n1,1,1\n")


def test_several_columns_behind_a_gate_are_refused(csv: File) -> None:
    """One column may wait for a gate, several may not."""
    gate = {"duration": "1m", "while": {"ref": "b", "op": "<", "value": 1}}
    other = entry(id="b")
    one = json.loads(csv.body("t,v\n0,1\n1,1\n", gate))
    one["scenarios"].append(other)
    assert plan_of(json.dumps(one)).entries[0].plan.gate
    two = json.loads(csv.body("t,v,w\n0,1,1\n1,1,1\n", gate))
    two["scenarios"].append(other)
    assert refusal_of(json.dumps(two)) == Refusal(
        422,
        'configuration error: scenario id "up": csv_replay multi-column expansion is not supported when `while:` is in '
        "use; specify a single column or remove the gate",
    )


def silent(*windows: tuple[str, str], **fields: Any) -> dict[str, Any]:
    return {"gap_windows": [{"at": at, "for": length} for at, length in windows]} | fields


TEN_HERTZ = "t,v\n" + "\n".join(f"{n / 10},{'' if 1 <= n <= 2 else n}" for n in range(5)) + "\n"


def test_blank_cells_lie_in_silences(csv: File) -> None:
    """An absent sample needs a declared silence, which may cover nothing else, compared in whole nanoseconds."""
    ((_, values),) = csv.columns(TEN_HERTZ, silent(("100ms", "200ms")), repeat=False)
    assert [n for n, value in enumerate(values) if np.isnan(value)] == [1, 2]
    assert csv.columns(TEN_HERTZ, silent(("200ms", "100ms"), ("100ms", "100ms")), repeat=False)
    assert csv.columns(TEN_HERTZ, silent(("50ms", "200ms"), ("9s", "1s")), repeat=False)


@pytest.mark.parametrize(
    ("fields", "spec", "begin", "rows"),
    [
        ({}, {}, "csv_replay: this capture contains 2 blank cell(s) and `repeat` is true. A capture containing", ""),
        (
            {"bursts": {"every": "2s", "for": "1s", "multiplier": 2}},
            {"repeat": False},
            "csv_replay: this capture contains 2 blank cell(s) and the scenario declares `bursts:`. A burst emits",
            "",
        ),
        ({}, {"repeat": False}, "csv_replay: 2 blank cell(s) are not covered by any `gap_windows:` entry", "2, 3"),
        (
            silent(("100ms", "100ms")),
            {"repeat": False},
            "csv_replay: 1 blank cell(s) are not covered by any `gap_windows:` entry",
            "3",
        ),
        (
            silent(("100ms", "201ms")),
            {"repeat": False},
            "csv_replay: 1 recorded sample(s) fall inside a `gap_windows:` entry",
            "4",
        ),
        (
            silent(("0", "300ms")),
            {"repeat": False},
            "csv_replay: 1 recorded sample(s) fall inside a `gap_windows:` entry",
            "1",
        ),
        (silent(("x", "1s")), {"repeat": False}, 'invalid gap_windows[0].at "x": ', ""),
    ],
)
def test_blank_cells_that_do_not_fit(
    csv: File, fields: dict[str, Any], spec: dict[str, Any], begin: str, rows: str
) -> None:
    """Silence in the file and silence in the scenario must be the same."""
    message = csv.fault(TEN_HERTZ, fields, **spec)
    assert message.startswith(begin)
    if rows:
        assert f"(data row(s) {rows})" in message


def test_recorded_samples_in_silences_need_no_blank(csv: File) -> None:
    """A silence over a file without blanks suppresses samples, looping or not."""
    assert "3 recorded sample(s)" in csv.fault("t,v\n" + "".join(f"{n},1\n" for n in range(5)), silent(("0", "3s")))


def test_rows_are_listed_up_to_eight(csv: File) -> None:
    """Of many rows the first eight are named."""
    text = "t,v\n0,1\n" + "".join(f"{n},\n" for n in range(1, 12)) + "12,1\n"
    assert "(data row(s) 2, 3, 4, 5, 6, 7, 8, 9 … and 3 more)" in csv.fault(text, repeat=False)


def test_a_blank_end_needs_silence_to_the_end(csv: File) -> None:
    """A last row that is absent is held absent, so a silence must reach as far as the run does."""
    text = "t,v\n0,1\n1,1\n2,\n"
    assert "has no `duration:`" in csv.fault(text, silent(("2s", "1s")), repeat=False)
    assert "the first such instant is tick 4," in csv.fault(text, silent(("2s", "2s"), duration="5s"), repeat=False)
    assert "the first such instant is tick 3," in csv.fault(
        text, silent(("2s", "1s"), ("4s", "9s"), duration="5s"), repeat=False
    )
    assert csv.columns(text, silent(("2s", "2s"), duration="4s"), repeat=False)
    assert csv.columns(text, silent(("2s", "1s"), ("3s", "9h"), duration="5h"), repeat=False)
    day = silent(("2ms", "23h"), duration="24h")
    assert "the first such instant is tick 82800002," in csv.fault(text, day, repeat=False, timescale=1000)


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 900)), max_size=5),
    st.sampled_from([1.0, 3.0, 7.0, 10.0, 1 / 3, 333.0]),
)
def test_silent_rows_are_those_whose_instants_are_silent(windows: list[tuple[int, int]], rate: float) -> None:
    """Rows computed from the edges of silences are the rows found by looking at each instant."""
    silences = [Silence(start_ns=at * 10**6, end_ns=(at + length) * 10**6) for at, length in windows]
    rows = SilentRows(silences, rate)
    instants = [(2 * n * 10**9 + rate) // (2 * rate) for n in range(300)]
    expected = [any(one.start_ns <= instant < one.end_ns for one in silences) for instant in instants]
    assert rows.mask(300).tolist() == expected
    heard = next((n for n in range(17, 300) if not expected[n]), None)
    assert rows.first_heard(17, 299) == heard


@given(st.lists(st.text(alphabet=st.sampled_from('",a b'), max_size=6), min_size=1, max_size=5))
def test_quoted_cells_round_trip(cells: list[str]) -> None:
    """Cells quoted as RFC 4180 says are split again into themselves."""
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    assert split_quoted(",".join(quoted)) == cells


def rows_of(csv: File, text: str, **spec: Any) -> tuple[float, ReplayRows]:
    csv.path.write_text(text)
    generator = {"type": "csv_replay", "file": str(csv.path)} | spec
    plan = plan_of(body(entry(signal_type="logs", generator=None, log_generator=generator))).entries[0].plan
    assert isinstance(plan.generator, ReplayRows)
    return plan.rate, plan.generator


def test_log_rows(csv: File) -> None:
    """Columns have their roles by title, every other one is a field under its title, absent where it is empty."""
    text = 'Timestamp,LEVEL,Msg, user ,x\n0,warning," a, b ",ann,1\n3,FATAL,c, ,\n# no\n6,?,d\n9,,,bob,2,3\n'
    rate, rows = rows_of(csv, text, repeat=False)
    assert rate == 0.3333333333333333
    assert list(rows.severities) == [3, 5, 2, 2]
    assert rows.messages == (" a, b ", "c", "d", "")
    assert rows.fields == {" user ": ("ann", None, None, "bob"), "x": ("1", None, None, "2")}
    assert not rows.repeat


def test_log_roles_by_name(csv: File) -> None:
    """Explicit titles win; without them the first from the left that fits is taken."""
    text = "time,timestamp,log,msg,t2\n5,0,first,second,1\n6,10,a,b,2\n"
    assert rows_of(csv, text)[0] == 1.0
    assert rows_of(csv, text, columns={"timestamp": "TIMESTAMP", "message": "msg"})[0] == 0.1
    rows = rows_of(csv, text, columns={"message": "MSG", "severity": "t2"}, default_severity="error")[1]
    assert rows.messages == ("second", "b")
    assert list(rows.severities) == [4, 4]
    assert set(rows.fields) == {"timestamp", "log"}


def test_repeated_log_titles(csv: File) -> None:
    """Of two columns with one title the later that is not empty wins."""
    assert rows_of(csv, "ts,a,a\n0,1,2\n1,3,\n")[1].fields == {"a": ("2", "3")}


@pytest.mark.parametrize(
    ("text", "spec", "message"),
    [
        ("", {"timescale": 0}, "log_csv_replay: 'timescale' must be a positive finite number, got 0"),
        ("# x\n", {}, 'log_csv_replay: file "PATH" has no header line'),
        (
            "a,b\n",
            {},
            (
                'log_csv_replay: no timestamp column found in CSV header of "PATH" (expected one of: timestamp, ts, '
                "time, or an explicit 'columns.timestamp' mapping)"
            ),
        ),
        ("ts\n", {"columns": {"severity": "x"}}, 'log_csv_replay: column "x" not found in CSV header'),
        ("ts,m\n0,a\n", {}, 'csv_replay: file "PATH" has fewer than 2 data rows; cannot derive replay rate'),
        ("m,ts\na\n", {}, 'csv_replay: failed to parse timestamp at data row 0 column 1: ""'),
        (
            "ts,m\n1,a\n0,b\n",
            {},
            'csv_replay: file "PATH" has non-monotonic timestamps at data row 1: 0 is not greater',
        ),
    ],
)
def test_log_files_that_cannot_be_replayed(csv: File, text: str, spec: dict[str, Any], message: str) -> None:
    """Each fault of a log file is a 422."""
    csv.path.write_text(text)
    generator = {"type": "csv_replay", "file": str(csv.path)} | spec
    status, detail = refusal_of(body(entry(signal_type="logs", generator=None, log_generator=generator)))
    assert status == 422
    assert detail.startswith(RUNTIME + message.replace("PATH", str(csv.path)))
