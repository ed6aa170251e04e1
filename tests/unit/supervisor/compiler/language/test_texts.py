"""YAML 1.2 and JSON to values: what stock readers get wrong, and what must be refused."""

from typing import Any

import pytest

from common.errors import CompileError
from supervisor.compiler import BodyFormat, Context, compile_scenario
from tests.support.compiling import FAILED, TYPED, body, entry, plan_of, refusal_of

HINT = (
    "body is not a v2 scenario. Sonda only accepts v2 scenario bodies (`version: 2` at the top level). Migrate this "
    "body to v2 — see docs/configuration/v2-scenarios.md for the migration guide."
)
FLAT = "version: 2\nname: up\nrate: 10\ngenerator: {type: constant, value: 1}\n"


def config_of(text: str, form: BodyFormat = BodyFormat.YAML) -> dict[str, Any]:
    return plan_of(text, form).entries[0].config


@pytest.mark.parametrize("version", ["2", "+2", "0x2", "0o2", "0b10"])
def test_spellings_of_version_2(version: str) -> None:
    """Every integer spelling of 2 is version 2."""
    assert plan_of(FLAT.replace("version: 2", f"version: {version}"))


@pytest.mark.parametrize("version", ['"2"', "2.0", "2e0", "02", "0X2", "1", "3", "", "two", "[2]", "-2", "2" * 9999])
def test_other_versions_get_the_migration_hint(version: str) -> None:
    """Anything but the integer 2 is answered with the hint, word for word."""
    assert refusal_of(FLAT.replace("version: 2", f"version: {version}")) == (400, HINT)


@pytest.mark.parametrize("text", ["", "# nothing", "[]", "- version: 2", "version", "name: up\nrate: 1", "~", "---\n"])
def test_what_is_no_version_2_mapping_gets_the_migration_hint(text: str) -> None:
    """A missing version is never assumed, and a root that is no mapping has none."""
    assert refusal_of(text) == (400, HINT)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("true", "true"),
        ("017", "017"),
        ("007", "007"),
        ("0x1F", "0x1F"),
        ("1.0", "1.0"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("2026-05-08T14:00:00Z", "2026-05-08T14:00:00Z"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("~", "~"),
        ("null", "null"),
        ("", ""),
        ('""', ""),
        ("!!str 5", "5"),
        ("'it''s'", "it's"),
        ('"\\u00e9\\n"', "é\n"),
    ],
)
def test_label_values_are_their_source_text(written: str, read: str) -> None:
    """A label value is what stands in the file, whatever YAML 1.1 would make of it."""
    assert config_of(f"{FLAT}labels:\n  a: {written}\n")["labels"] == {"a": read}


@pytest.mark.parametrize("key", ["on", "off", "yes", "no", "y", "n"])
def test_keys_are_texts(key: str) -> None:
    """A label may be called `on`."""
    assert config_of(f"{FLAT}labels:\n  {key}: x\n")["labels"] == {key: "x"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("5.", 5.0),
        (".5", 0.5),
        ("+2", 2.0),
        ("010", 10.0),
        ("017", 17.0),
        ("12345678901234567890", 12345678901234567890.0),
    ],
)
def test_numbers_of_an_entry(written: str, read: float) -> None:
    """A rate is a YAML 1.2 number; a leading zero does not make it octal."""
    assert config_of(FLAT.replace("rate: 10", f"rate: {written}"))["rate"] == read


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('"5"', 'string "5"'),
        ("true", "boolean `true`"),
        ("0x10", "integer `16`"),
        ("0o17", "integer `15`"),
        ("1_000", 'string "1_000"'),
        ("1:30", 'string "1:30"'),
        ("inf", 'string "inf"'),
        ("nan", 'string "nan"'),
        ("1e400", 'string "1e400"'),
        ("[1]", "sequence"),
        ("{a: 1}", "map"),
    ],
)
def test_what_is_no_number_of_an_entry(written: str, found: str) -> None:
    """Quotes, radix prefixes, underscores and colons make no rate, nor does what float64 cannot hold."""
    detail = f"{TYPED}rate: invalid type: {found}, expected f64 at line 3 column 7"
    assert refusal_of(FLAT.replace("rate: 10", f"rate: {written}")) == (400, detail)


@pytest.mark.parametrize(
    ("written", "read"),
    [("0x10", 16.0), ("0o17", 15.0), ("-0x10", -16.0), ("0b11", 3.0), ("5", 5.0), ("-.inf", float("-inf"))],
)
def test_numbers_of_a_block_take_radix_prefixes(written: str, read: float) -> None:
    """Inside a block selected by `type` integers of any base are numbers too."""
    assert config_of(FLAT.replace("value: 1", f"value: {written}"))["generator"]["value"] == read


@pytest.mark.parametrize("written", ["010", '"5"', "true", "1_0", "99999999999999999999", "0X10", "~"])
def test_what_is_no_number_of_a_block(written: str) -> None:
    """Leading zeros, quotes, booleans and integers beyond 64 bits are type errors there."""
    status, detail = refusal_of(FLAT.replace("value: 1", f"value: {written}"))
    assert status == 400
    assert detail.startswith(f"{TYPED}generator.value: invalid ")
    assert "expected f64 at line 4" in detail


@pytest.mark.parametrize("written", ["5", "1.5", "true", "~", "0x1F", ".inf"])
def test_texts_of_a_block_must_be_texts(written: str) -> None:
    """A plain scalar that reads as a number, boolean or null is no text inside a block."""
    status, detail = refusal_of(f"{FLAT}sink:\n  type: file\n  path: {written}\n")
    assert status == 400
    assert detail.startswith(f"{TYPED}sink.path: invalid type: ")
    assert ", expected a string at line 7 column 9" in detail


@pytest.mark.parametrize("written", ["yes", "on", "007", "2024-01-01", "1:30", "1_000", "'5'", '"true"'])
def test_texts_of_a_block_that_only_look_otherwise(written: str) -> None:
    """What YAML 1.2 does not take for a number or boolean is a text, and so is everything in quotes."""
    assert config_of(f"{FLAT}sink:\n  type: file\n  path: {written}\n")["sink"]["path"] == written.strip("'\"")


@pytest.mark.parametrize("written", ["1.0", "1e3", "-1", '"5"', "1_0", "010", "18446744073709551616", "9" * 9999])
def test_unsigned_integers_are_strict(written: str) -> None:
    """A seed is a plain integer of at most 64 bits."""
    status, detail = refusal_of(f"{FLAT}jitter_seed: {written}\n")
    assert status == 400
    assert detail.startswith(f"{TYPED}jitter_seed: invalid ")
    assert "expected u64 at line 5 column 14" in detail
    assert len(detail) < 500


@pytest.mark.parametrize(("written", "read"), [("18446744073709551615", 2**64 - 1), ("0x1f", 31), ("+7", 7), ("0", 0)])
def test_unsigned_integers(written: str, read: int) -> None:
    """All 64 bits of a seed are usable, in any base."""
    assert plan_of(f"{FLAT}jitter_seed: {written}\n").entries[0].plan.jitter_seed == read


@pytest.mark.parametrize("written", ["yes", '"true"', "1", "tRUE"])
def test_booleans_are_strict(written: str) -> None:
    """Only the three spellings of true and false are booleans."""
    generator = f"generator: {{type: sequence, values: [1], repeat: {written}}}"
    status, detail = refusal_of(FLAT.replace("generator: {type: constant, value: 1}", generator))
    assert status == 400
    assert "generator.repeat: invalid type: " in detail
    assert "expected a boolean" in detail


def test_wide_integers_are_refused_inside_scenarios() -> None:
    """A label value beyond 64 bits is a type error in `scenarios`, and plain text at the top level."""
    wide = "123456789012345678901234567890"
    assert config_of(f"{FLAT}labels: {{serial: {wide}}}\n")["labels"] == {"serial": wide}
    text = f"version: 2\nscenarios:\n- {{signal_type: metrics, labels: {{serial: {wide}}}}}\n"
    expected = f"scenarios[0].labels.serial: invalid type: integer `{wide}`, expected a string at line 3 column 43"
    assert refusal_of(text) == (400, TYPED + expected)


def test_merge_keys_are_ordinary_keys() -> None:
    """`<<` merges nothing: it is an unknown field, and in a label map a key with a wrong value."""
    status, detail = refusal_of(f"{FLAT}<<: {{a: b}}\n")
    assert status == 400
    assert "unknown field `<<`" in detail
    assert refusal_of(f"{FLAT}labels:\n  <<: {{a: b}}\n") == (
        400,
        f"{TYPED}labels.<<: invalid type: map, expected a string at line 6 column 7",
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"{FLAT}rate: 10\n", ""),
        (f"{FLAT}labels: {{a: 1, b: 2, a: 3}}\n", "labels: "),
        (FLAT.replace("value: 1", "value: 1, value: 1"), "generator: "),
        (FLAT.replace("value: 1", "value: 1, type: constant"), "generator: "),
    ],
)
def test_equal_keys_are_refused(text: str, path: str) -> None:
    """The second of two equal keys is a fault at every level."""
    status, detail = refusal_of(text)
    assert status == 400
    assert detail.startswith(f"{TYPED}{path}duplicate entry with key ")


@pytest.mark.parametrize("tag", ["!foo", "!!python/object:os.system", "!!timestamp", "!!binary", "!"])
def test_foreign_tags_are_refused(tag: str) -> None:
    """Only tags of the core schema are read."""
    status, detail = refusal_of(f"{FLAT}help: {tag} x\n")
    assert status == 400
    assert detail.startswith(f"{TYPED}unsupported tag ")


@pytest.mark.parametrize("frame", ["---\n{}", "{}...\n", "%YAML 1.2\n---\n{}", "\ufeff{}", "--- # x\n{}---\n"[:-4]])
def test_document_marks_are_fine(frame: str) -> None:
    """One document may be framed, declare YAML 1.x and start with a byte order mark."""
    assert plan_of(frame.format(FLAT))


def test_a_second_document_is_refused() -> None:
    """A body is one document."""
    detail = f"{TYPED}more than one document; expected a single one"
    assert refusal_of(f"{FLAT}---\n{FLAT}") == (400, detail)


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: b: c", "a: 'x", "\ta: 1", "a: {b: 1]", "a: \x07", 'a: "\\ud800"', "%FOO\n---\na: 1", "? [", "@"],
)
def test_broken_yaml_says_where(text: str) -> None:
    """A syntax error is a parse error of phase 1, on one line."""
    status, detail = refusal_of(f"{FLAT}{text}")
    assert status == 400
    assert detail.startswith(TYPED)
    assert "\n" not in detail


def test_aliases_are_copies() -> None:
    """An alias stands for the node it names, and an anchor may be set again."""
    text = f"{FLAT}labels: {{a: &x one, b: *x, c: &x two, d: *x}}\n"
    assert config_of(text)["labels"] == {"a": "one", "b": "one", "c": "two", "d": "two"}


@pytest.mark.parametrize("value", ["*nowhere", "&a [*a]", "&a {b: {c: *a}}"])
def test_impossible_aliases_are_refused(value: str) -> None:
    """An alias without a target, or inside its own target, is refused."""
    status, detail = refusal_of(f"{FLAT}tags: {value}\n")
    assert status == 400
    assert "alias" in detail


def test_alias_bombs_are_refused_at_once() -> None:
    """Nested aliases that would expand to a billion nodes are counted, never expanded."""
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    assert refusal_of(f"{FLAT}a0: &a0 x\n{levels}") == (400, f"{TYPED}repetition limit exceeded")


def test_wide_alias_bombs_are_refused_at_once() -> None:
    """A thousand aliases to a thousand values each are as bad as nested ones."""
    text = f"{FLAT}a: &a [{'1,' * 20_000}]\nb: [{'*a,' * 20_000}]\n"
    assert refusal_of(text) == (400, f"{TYPED}repetition limit exceeded")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_before_anything_is_built(opening: str) -> None:
    """Two hundred thousand open brackets are refused at the 129th, or by a bound of libyaml that it meets before."""
    status, detail = refusal_of(opening * 200_000)
    assert status == 400
    assert "nested deeper than 128 levels at line 1 column" in detail


def test_depth_128_is_legal() -> None:
    """The bound itself is inside: the root mapping and 127 lists."""
    status, detail = refusal_of(f"{FLAT}x: {'[' * 127}{']' * 127}\n")
    assert status == 400
    assert "unknown field `x`" in detail
    assert "nested deeper" in refusal_of(f"{FLAT}x: {'[' * 128}{']' * 128}\n").detail


def test_json_is_read_with_the_same_meaning() -> None:
    """A JSON body gives the plan of the same YAML; numbers in text positions keep their text."""
    text = '{"version": 2, "name": "up", "rate": 10, "generator": {"type": "constant", "value": 1}%s}'
    assert config_of(text % "", BodyFormat.JSON) == config_of(FLAT)
    labels = config_of(text % ', "labels": {"a": 1.0, "b": true, "c": null, "d": "x"}', BodyFormat.JSON)["labels"]
    assert labels == {"a": "1.0", "b": "true", "c": "null", "d": "x"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value at line 1 column 1"),
        ("{'a': 1}", "Expecting property name enclosed in double quotes at line 1 column 2"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1, "a": 1}', 'duplicate key "a" in an object'),
        ('{"a": {"b": 1, "b": 2}}', 'duplicate key "b" in an object'),
        ('{"a": 1} x', "Extra data at line 1 column 10"),
        ('{"a": "\\ud800"}', "a string holds half of a surrogate pair"),
        ("[" * 200_000, "nested deeper than 128 levels"),
        ("[" * 129 + "]" * 129, "nested deeper than 128 levels"),
        ('{"a": "\t"}', "Invalid control character at at line 1 column 8"),
    ],
)
def test_json_is_strict(text: str, reason: str) -> None:
    """What is not JSON to the letter is refused with the reason, before anything else."""
    assert refusal_of(text, BodyFormat.JSON) == (400, f"invalid JSON body: {reason}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": [{"b": 1,\n  "c": 2, "b": 3}], "b": 1}', (2, 11)),
        ('{"a": 1, "\\u0061": 1}', (1, 10)),
        ('{"a": {"x": 1}, "b": {"x": 1},\n"b": 2}', (2, 1)),
        ('{"a": "x",\n "b": ["\\ud83d\\ude00", "\\ud800"]}', (2, 24)),
        ('{"\\udc00": 1}', (1, 2)),
        ("[\n" * 100 + "[" * 30 + "]" * 130, (101, 29)),
        ("[" * 200_000, (1, 129)),
        ('{"x": [\n' + "[],{}," * 100_000 + "[]]}", (2, 3 * 99_998 + 1)),
    ],
)
def test_json_that_is_refused_as_a_whole_has_a_place(text: str, place: tuple[int, int]) -> None:
    """What the parser itself lets pass is found in the text."""
    with pytest.raises(CompileError) as caught:
        compile_scenario(text.encode(), BodyFormat.JSON, Context())
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == place


@pytest.mark.parametrize(
    ("form", "prefix"),
    [(BodyFormat.YAML, "request body is not valid UTF-8: "), (BodyFormat.JSON, "invalid JSON body: ")],
)
def test_bodies_must_be_utf8(form: BodyFormat, prefix: str) -> None:
    """Bytes that are no UTF-8 are refused in both forms."""
    status, detail = refusal_of(b"version: 2\nname: \xff\n", form)
    assert status == 400
    assert detail.startswith(prefix)


@pytest.mark.parametrize("form", list(BodyFormat))
def test_containers_are_counted_while_reading(form: BodyFormat) -> None:
    """A megabyte of brackets ends at the bound, not in memory."""
    status, detail = refusal_of(f'{{"x": [{"[],{}," * 100_000}[]]}}', form)
    assert status == 400
    assert "more than 100000 lists and maps" in detail


@pytest.mark.parametrize(
    ("written", "value"),
    [("-0", -0.0), ("123456789012345678901234567890", 1.2345678901234568e29), ("1e3", 1000.0), ("-1E-2", -0.01)],
)
def test_json_has_one_kind_of_number(written: str, value: float) -> None:
    """Of any size and with its sign, in a block and beside it; what is too large for a float is refused."""
    text = '{"version": 2, "name": "up", "rate": 10, "generator": {"type": "constant", "value": %s}}'
    config = config_of(text % written, BodyFormat.JSON)
    assert repr(config["generator"]["value"]) == repr(value)
    listed = body(entry(rate=99999999999999999999))
    assert config_of(listed, BodyFormat.JSON)["rate"] == 1e20
    assert refusal_of(text % "1e400", BodyFormat.JSON) == (
        400,
        "invalid JSON body: number out of range",
    )


def test_big_bodies_are_read() -> None:
    """More numbers than lists and maps are allowed, and a key of a million letters."""
    values = ",".join(["1"] * 110_000)
    plan = plan_of(FLAT.replace("type: constant, value: 1", f"type: sequence, values: [{values}]"))
    assert len(plan.entries[0].config["generator"]["values"]) == 110_000
    assert refusal_of(f"{FLAT}{'x' * 1_000_000}: 1").detail.startswith(FAILED)
