"""Logs: long, cut off, in any order; what a sample of a few lines cannot show."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_importers import told

from benchmarks.logs import claude_code_log, litellm_rows
from mecris.importers import claude_code, jsonl, litellm
from mecris.importers.formats import recognised
from mecris.importers.kinds import Call, Unreadable
from mecris.importers.reading import File

pytestmark = pytest.mark.own_store  # these need no store, so they run once

SAMPLES = Path(__file__).parent / "samples"


def calls(content: bytes) -> dict[str, Call]:
    """The calls of a Claude Code log: of each key the one of the greatest rank, the earliest time, and the first session."""
    found: dict[str, Call] = {}
    for item in claude_code.read(File.of(content)):
        if isinstance(item, Call):
            known = found.get(item.key, item)
            best = max(known, item, key=lambda call: (call.rank, call[4:8]))
            found[item.key] = best._replace(at=min(known.at, item.at), run=min(known.run, item.run))
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["session.jsonl", "old-costs.jsonl"])
def test_shuffled_lines_have_the_same_winners(name: str, seed: int) -> None:
    lines = (SAMPLES / "claude-code" / name).read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    expected = calls(b"\n".join(lines))
    random.Random(seed).shuffle(lines)
    assert calls(b"\n".join(lines)) == expected


def test_copies_of_equal_rank_have_the_same_winner_in_either_order() -> None:
    lines = [line(session="fork", usage=usage(3, 4)), line(usage=usage(4, 3)), line(usage=usage(3, 4))]
    assert calls(b"\n".join(lines)) == calls(b"\n".join(reversed(lines)))


def test_copies_far_apart_are_given_one_by_one_and_the_rank_tells_the_better(monkeypatch: pytest.MonkeyPatch) -> None:
    content = (SAMPLES / "claude-code" / "session.jsonl").read_bytes()
    at_once = calls(content)
    monkeypatch.setattr(claude_code, "HELD", 1)
    assert calls(content) == at_once
    keys = [item.key for item in claude_code.read(File.of(content)) if isinstance(item, Call)]
    assert keys.count("msg_grows") == 3


def usage(read: int, written: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": read, "output_tokens": written} | more


def line(id: str = "msg_1", session: str = "s", content: str = "", **message: Any) -> bytes:
    entry = {"type": "assistant", "uuid": "u", "sessionId": session, "timestamp": "2026-08-01T10:00:00Z"}
    return json.dumps(entry | {"message": {"id": id, "content": content, **message}}, ensure_ascii=False).encode()


def test_a_line_of_five_megabytes_is_told_and_the_others_count() -> None:
    content = b"\n".join(
        [line("msg_1", usage=usage(1, 2)), line("msg_2", content="x" * 5_000_000), line("msg_3", usage=usage(3, 4))]
    )
    wrong = [item for item in claude_code.read(File.of(content)) if isinstance(item, Unreadable)]
    assert wrong == [Unreadable(2, "the line is longer than 4 MiB")]
    assert set(calls(content)) == {"msg_1", "msg_3"}


def test_a_first_line_that_is_longer_than_what_a_file_is_recognised_by() -> None:
    long = json.dumps({"parentUuid": None, "sessionId": "s", "type": "user", "message": "x" * 100_000}).replace(
        ": ", ":"
    )
    content = f"{long}\n".encode() + line(usage=usage(1, 2))
    assert [importer.NAME for importer in recognised(File.of(content))] == ["claude-code"]


def test_a_file_that_was_cut_off_anywhere_in_its_last_line() -> None:
    whole, last = line("msg_1", usage=usage(1, 2)) + b"\n", line("msg_2", content="Zürich", usage=usage(3, 4))
    for end in range(1, len(last)):
        first, *others = claude_code.read(File.of(whole + last[:end]))
        assert first == Unreadable(2, "the file ends in the middle of this line")
        assert [item.key for item in others if isinstance(item, Call)] == ["msg_1"]
    assert set(calls(whole + last)) == {"msg_1", "msg_2"}


def test_brackets_without_end_stop_one_line_only() -> None:
    content = b"\n".join([b"[" * 200_000, b'{"message":' * 200_000, line(usage=usage(1, 2)), b"9" * 5000])
    numbers = [item.line for item in claude_code.read(File.of(content)) if isinstance(item, Unreadable)]
    assert numbers == [1, 2, 4]
    assert set(calls(content)) == {"msg_1"}


def test_generated_logs_are_read_whole(tmp_path: Path) -> None:
    log, rows = tmp_path / "log.jsonl", tmp_path / "rows.jsonl"
    claude_code_log(log, 900)
    litellm_rows(rows, 90)
    with log.open("rb") as stream:
        items = list(claude_code.read(File("", stream)))
    assert 1.7 < 800 / sum(isinstance(item, Call) for item in items) < 1.9
    with rows.open("rb") as stream:
        items = list(litellm.read(File("", stream)))
    spent = [item.usd for item in items if isinstance(item, Call)]
    assert [str(usd) for usd in spent] == [str(json.loads(row)["spend"]) for row in rows.read_text().splitlines()]


def test_rows_read_alike_whether_they_come_as_lines_an_array_or_a_page() -> None:
    rows = json.loads((SAMPLES / "litellm" / "array.json").read_text())
    lines = "\n".join(json.dumps(row) for row in rows)
    page = json.dumps({"data": rows, "page": 1, "total_pages": 1, "total_is_capped": False})
    pretty = json.dumps(json.loads(page), indent=4)
    texts = [json.dumps(rows), lines, page, pretty, f"[{page}]", f"{page}\n"]
    first, *others = [told(litellm.read(File.of(text.encode()))) for text in texts]
    assert len(first) == len(rows) + 3
    assert all(other == first for other in others)


def test_a_first_row_that_is_broken_does_not_hide_the_others() -> None:
    row = json.dumps({"request_id": "a", "spend": 1, "startTime": "2026-08-01"})
    file = File.of(f"{row[:-5]}\n{row}\n".encode())
    assert [importer.NAME for importer in recognised(file)] == ["litellm"]
    assert [type(item).__name__ for item in litellm.read(file)] == ["Unreadable", "Call"]


def test_a_field_of_a_table_may_be_as_long_as_a_prompt() -> None:
    table = f'request_id,spend,startTime,messages\na,0.10,2026-08-01,"{"x" * 1_000_000}"\n'
    (call,) = litellm.read(File.of(table.encode()))
    assert isinstance(call, Call)
    assert str(call.usd) == "0.10"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"[]", b"{}", b"[[]]", b"1", b"a\rb,c\n", b"\0\1\2", b"\xff\xfe", b'{"data":[]}', b'[{"data":{}}]'],
)
def test_what_is_of_no_format_is_recognised_by_none(content: bytes) -> None:
    assert recognised(File.of(content)) == []


# -- a law -------------------------------------------------------------------------------------------------------

FIELDS = (
    "message", "usage", "id", "model", "sessionId", "timestamp", "requestId", "uuid", "isSidechain", "isApiErrorMessage", "costUSD",
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation", "cache_creation_input_tokens", "speed",
    "request_id", "spend", "startTime", "prompt_tokens", "completion_tokens", "metadata", "usage_object", "prompt_tokens_details",
    "cached_tokens", "cache_hit", "team_id", "data", "other",
)  # fmt: skip
numbers = st.sampled_from(
    ["0", "7", "-1", "1.50", "7.0", "1e-7", "1E400", "9" * 30, "NaN", "01", "-0.0", "0." + "1" * 70]
)
words = st.sampled_from(
    ['""', '"1.5"', '"nan"', '"2025-09-01T10:00:00Z"', '"a\\ud800"', '"a\tb"', '"\\u00e9"', '"x"', '"True"', '"{}"']
)
plain_values = st.one_of(numbers, words, st.sampled_from(["null", "true", "false", "[]", "{}", '["x"]', "tru"]))
documents = st.recursive(
    plain_values,
    lambda inner: st.lists(st.tuples(st.sampled_from(FIELDS), inner), max_size=8).map(
        lambda fields: "{" + ", ".join(f'"{name}": {value}' for name, value in fields) + "}"
    ),
    max_leaves=20,
)
CALLS = {
    claude_code: '"sessionId": "s", "uuid": "u", "timestamp": "2025-09-01T10:00:00Z", "message": {"id": "m", "usage": {"input_tokens": 1, %s}}, %s',
    litellm: '"request_id": "r", "spend": 0.10, "startTime": "2025-09-01T10:00:00Z", "prompt_tokens": 9, "metadata": {"usage_object": {%s}}, %s',
}


@given(
    st.sampled_from([claude_code, litellm]), st.tuples(*[st.tuples(st.sampled_from(FIELDS), documents)] * 2), st.booleans()
)  # fmt: skip
@settings(max_examples=300)
def test_a_line_that_is_read_in_its_shape_says_what_it_says_when_it_is_read_whole(
    importer: Any, more: tuple[tuple[str, str], ...], is_whole: bool
) -> None:
    line = "{" + CALLS[importer] % tuple(f'"{name}": {value}' for name, value in more) + "}"
    content = (line if is_whole else more[0][1]).encode("utf-8", "replace") + b"\n"
    shape = claude_code.LINE if importer is claude_code else litellm.ROW

    def items() -> list[str]:
        return [repr(item) for item in importer.read(File.of(content, "log"))]

    with pytest.MonkeyPatch.context() as patch:
        fast = items()
        patch.setattr(shape, "read", lambda raw: shape.of(jsonl._read(raw)))
        assert fast == items()
