"""Laws of imports: what is on record follows from the set of files, not from their order, their cuts or their repetitions."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clocks import Clock
from exports import SAMPLES, claude_line, cost_report, csv, jsonl, putting, readings, september
from hypothesis import given, settings
from hypothesis import strategies as st

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import MecrisError
from mecris.domain.lines import Line, better, changed_by
from mecris.domain.period import end_of_quarter

STARTS = ["2025-09-01T00:00:00.000000Z", "2025-09-02T00:00:00.000000Z"]
QUARTERS = [end_of_quarter(start) for start in STARTS]
_LINES = st.builds(
    Line,
    key=st.sampled_from("ab"),
    rank=st.sampled_from(["", "1", "2"]),
    start=st.sampled_from(STARTS),
    end=st.sampled_from(["2025-09-03T00:00:00.000000Z", "2025-09-04T00:00:00.000000Z", *QUARTERS]),
    usd=st.sampled_from([None, "9", "10"]),
    run=st.sampled_from(["r", "s"]),
    input_tokens=st.integers(0, 2),
    terms=st.sampled_from(["", "batch"]),
)


@given(st.lists(_LINES.map(lambda line: line._replace(key="a")), min_size=1, max_size=5), st.randoms())
@settings(max_examples=200)
def test_copies_of_a_line_say_the_same_in_any_order_and_however_often(lines: list[Line], chance: Any) -> None:
    def together(copies: Sequence[Line]) -> Line:
        found = copies[0]
        for copy in copies[1:]:
            found = better(found, copy)
        return found

    shuffled = [*lines, *chance.choices(lines, k=2)]
    chance.shuffle(shuffled)
    assert better(together(lines), together(lines)) == together([*lines, lines[0]])
    assert together([lines[0], *lines]) == together([lines[0], *shuffled])


def test_what_is_known_and_not_better_changes_nothing() -> None:
    line = Line("a", "1", *STARTS, "1")
    changed = changed_by([line, line._replace(rank="0", usd="9")], {"a": line})
    assert not changed


@st.composite
def exports(draw: st.DrawFn) -> list[tuple[str, bytes, str]]:
    """Files of four kinds that overlap, restate and repeat one another."""
    found = []
    for number in range(draw(st.integers(2, 5))):
        exported = f"2025-10-0{draw(st.integers(1, 4))}T0{number}:00:00Z"
        days = draw(st.dictionaries(st.integers(1, 5), st.sampled_from(["0", "100", "150.5"]), min_size=1, max_size=3))
        kind = draw(st.sampled_from(["cost", "ccusage", "log", "csv"]))
        if kind == "cost":
            content = cost_report(days)
        elif kind == "ccusage":
            rows = [
                {"date": f"2025-09-{d:02}", "totalCost": float(v) / 100, "modelBreakdowns": []} for d, v in days.items()
            ]
            content = json.dumps({"daily": rows, "totals": {}}).encode()
        elif kind == "log":
            content = jsonl(*(claude_line(f"m{d}", int(float(v)), session=f"s{number % 2}", at=f"2025-09-{d:02}T0{number}:00:00Z") for d, v in days.items()))  # fmt: skip
        else:
            content = csv(*(f"2025-09-{d:02},{float(v) / 100},{d},claude,bill,manual" for d, v in days.items()))
        found.append((f"{number}.{kind}", content, exported))
    return found


@given(exports(), st.randoms())
def test_files_in_any_order_and_repeated_end_in_the_same_status(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes, str]], chance: Any
) -> None:
    folder = tmp_path_factory.mktemp("law")
    paths = [putting(folder)(*file) for file in files]
    shuffled = [*paths, *chance.choices(paths, k=2)]
    chance.shuffle(shuffled)

    def told(order: Sequence[Path], name: str) -> Any:
        with september(folder / f"{name}.db") as books:
            for path in order:
                books.import_file(path)
            status = books.status(1)
            assert books.replay().differences == 0
            tokens = [sum(r[n] for r in books.runs()) for n in ("reported_in", "reported_out")]
            sources = {(s["name"], s["counted"], s["amount_usd"], s["measured_at"]) for s in books.sources(1)}
            return (
                [status[n] for n in ("totals", "tie_out", "grade", "percent", "providers")],
                readings(books),
                tokens,
                sources,
            )

    assert told(paths, "straight") == told(shuffled, "shuffled")


EVERY = sorted(
    path for path in SAMPLES.glob("*/*") if not path.name.endswith(".expected.json") and path.name != "remaining.html"
)
"""The samples of all formats, but for a balance that does not say what it is left of: rule 2 asks who else is in the cycle by then."""


class Export(NamedTuple):
    """A file: its name, what is in it, when it was exported, and how it is imported."""

    name: str
    content: bytes
    exported: str
    how: dict[str, Any]


FIGURES = [path for path in EVERY if path.parent.name in ("dashboard", "payload", "openrouter-credits")]
RIVALS = [
    path
    for path in EVERY
    if path.parent.name in ("dashboard", "csv", "ccusage", "anthropic-cost", "anthropic-messages")
]
"""Samples that see the same money, when all of them are of one provider."""
_TIMES = st.sampled_from(["2025-09-10T08:00:00Z", "2025-09-10T09:00:00Z", "2026-08-05T00:00:00Z"])


@st.composite
def sampled(draw: st.DrawFn) -> list[Export]:
    """Samples of all formats or of one: cut in parts, restated in a digit, and exported again as they were."""
    one = draw(st.sampled_from(EVERY)).parent
    among = draw(st.sampled_from([EVERY, FIGURES, RIVALS, [path for path in EVERY if path.parent == one]]))
    found: list[Export] = []
    for number, path in enumerate(draw(st.lists(st.sampled_from(among), min_size=1, max_size=3))):
        name = f"{number}-{path.parent.name}-{path.name}"
        how: dict[str, Any] = {}
        if path.parent.name in ("dashboard", "payload", "csv"):
            how["provider"] = draw(st.sampled_from([None, "claude"]))

        def exported(name: str, content: bytes, how: dict[str, Any] = how) -> Export:
            return Export(name, content, draw(_TIMES), how | {"cycle_id": draw(st.sampled_from([None, None, 1, 2]))})

        file = exported(name, path.read_bytes())
        found += [file] if draw(st.booleans()) else _parts(file, draw(st.integers(0, 9)), draw(st.integers(0, 2)))
        if draw(st.booleans()):
            found.append(exported(f"restated-{name}", _restated(file.content, draw(st.integers(0, 400)))))
        if draw(st.booleans()):
            found.append(exported(f"again-{name}", file.content))
    return found


def _parts(file: Export, cut: int, overlap: int) -> list[Export]:
    """A file in two parts that may overlap; of a table both have the first line."""
    lines = file.content.splitlines(keepends=True)
    head = lines[:1] if file.name.endswith(("csv", "tsv")) and cut else []
    parts = [lines[: cut + overlap], head + lines[cut:]]
    return [file._replace(name=f"{n}-{file.name}", content=b"".join(part)) for n, part in enumerate(parts)]


def _restated(content: bytes, place: int) -> bytes:
    """The same with another digit somewhere."""
    digits = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
    at = digits[place % len(digits)] if digits else 0
    return content[:at] + (b"7" if content[at : at + 1] != b"7" else b"8") + content[at + 1 :]


def all_there_is(books: Books) -> Any:
    """Everything that people ask of what files left behind, but for when and in which order it came."""
    found: list[Any] = []
    for number in (1, 2):
        status = books.status(number)
        found += [status[n] for n in ("totals", "tie_out", "grade", "percent", "providers")]
        rows = books.sources(number, history=True)
        found.append(
            sorted((r["name"], r["measured_at"], r["amount_usd"], r["counted"]) for r in rows if not r["retracted"])
        )
        pairs = books.discrepancies(number)["details"]
        found.append(sorted((p["source_a"]["name"], p["source_b"]["name"], p["diff_usd"], p["grade"]) for p in pairs))
    runs = books.runs(limit=1000)
    found.append(sorted((r["run_id"], r["dispatches"], r["reported_in"], r["reported_out"]) for r in runs))
    found.append({(f["sha256"], f["format"], f["exported_at"], f["unreadable"]) for f in books.evidence()})
    return found


@given(sampled(), st.randoms())
@settings(max_examples=settings.default.max_examples)
def test_files_of_all_formats_in_any_order_end_in_the_same_books(
    tmp_path_factory: pytest.TempPathFactory, files: list[Export], chance: Any
) -> None:
    folder = tmp_path_factory.mktemp("law")

    def told(order: Sequence[Export], name: str) -> Any:
        with Books.open(folder / name, recorded_by="ada", clock=Clock("2026-09-01T00:00:00Z")) as books:
            books.handle(
                c.OpenCycle(start_date="2024-11-01", end_date="2025-08-31", target_usd=100, timezone="Asia/Kathmandu")
            )
            books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2026-12-31", target_usd=100))
            for file in order:
                path = putting(folder)(file.name, file.content, file.exported)
                with suppress(MecrisError):
                    books.import_file(path, **file.how)
            assert books.replay().differences == 0
            return all_there_is(books)

    shuffled = [*files, *chance.choices(files, k=2)]
    chance.shuffle(shuffled)
    assert told(files, "straight.db") == told(shuffled, "shuffled.db")


@given(
    st.lists(
        st.builds(
            claude_line,
            st.sampled_from(["m1", "m2", "m3"]),
            st.sampled_from([10, 200, 300]),
            at=st.sampled_from([f"2025-09-10T{hour:02}:00:00Z" for hour in (8, 9, 10)]),
            session=st.sampled_from(["s1", "s2"]),
            model=st.sampled_from(["claude-opus-4-6", "claude-sonnet-4-5"]),
            isSidechain=st.booleans(),
        ),
        min_size=2,
        max_size=6,
    ),
    st.integers(1, 5),
    st.integers(0, 2),
    st.booleans(),
)
@settings(max_examples=settings.default.max_examples * 2)
def test_a_log_in_parts_says_what_the_whole_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]], cut: int, overlap: int, last_first: bool
) -> None:
    folder = tmp_path_factory.mktemp("law")

    def told(name: str, *parts: list[dict[str, Any]]) -> Any:
        with september(folder / name) as books:
            books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=1))
            for number, part in enumerate(parts):
                path = putting(folder)(f"{name}{number}.jsonl", jsonl(*part), "2025-09-11T00:00:00Z")
                books.import_file(path, format="claude-code")
            return all_there_is(books)[:-1]

    parts = [lines[: cut + overlap], lines[cut:]]
    assert told("whole.db", lines) == told("parts.db", *(parts[::-1] if last_first else parts))
