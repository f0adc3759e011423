"""Imports by the command line, from watched folders, and of hostile and large files."""

import gc
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from exports import Put, claude_line, cost_report, csv, jsonl, mecris, september

from mecris.books import Books, importing, packing
from mecris.domain import commands as c
from mecris.domain.errors import MecrisError, PayloadRefused, Unavailable
from mecris.importers import ahead

# -- by the command line -----------------------------------------------------------------------------------------


def test_the_founding_story_from_files_alone(tmp_path: Path, put: Put) -> None:
    """A Claude Code log, a saved dashboard page and a Groq reading; what no meter saw is explained, and the books tie out."""
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-08-06", "--end", "2025-09-30", "--target", "25.76")
    usage = [claude_line(f"m{n}", 200, at="2025-09-10T08:00:00Z") for n in range(11)]
    log = put("log.jsonl", jsonl(*usage), "2025-09-10T09:00:00Z")
    page = put("console.html", b"<html><body><h1>Usage</h1><div>$5.42 USD</div></body></html>", "2025-09-10T09:05:00Z")
    groq = put("groq.json", b'{"project_id": "p", "spent_usd": 0.80, "timestamp": "2025-08-31T23:00:00Z"}')
    assert mecris(path, "import", str(log))[1] == (
        "log.jsonl: claude-code, 'claude code' of claude; recorded 11 new lines, 11 dispatches, 1 reading, in cycle 1\n"
    )
    assert mecris(path, "import", str(page), "--provider", "claude")[0] == 0
    assert mecris(path, "import", str(groq))[0] == 0
    assert (
        mecris(path, "budget", "plug", "--cycle", "1", "--provider", "claude", "--square", "--yes", "--reason", "x")[0]
        == 0
    )
    with Books.open(path) as books:
        tied = books.status(1)["tie_out"]
        assert (tied["spent_usd"], tied["remaining_usd"], tied["unexplained_usd"]) == (
            Decimal("6.22"),
            Decimal("19.54"),
            0,
        )
        assert tied["tracked_usd"] == Decimal("0.11") + Decimal("0.80")
        assert books.replay().differences == 0
    for one in (log, page, groq):
        again = mecris(path, "import", str(one), *(["--provider", "claude"] if one == page else []))
        assert again[:2] == (0, f"{one.name}: nothing new\n")


def test_a_folder_tells_its_cycles_once(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    (tmp_path / "in").mkdir()
    for n in range(3):
        put(f"in/{n}.jsonl", jsonl(claude_line(f"m{n}", 200, session=f"s{n}")), f"2025-09-1{n}T00:00:00Z")
    put("in/3.json", cost_report({1: "none"}))
    code, out, err = mecris(path, "import", str(tmp_path / "in"))
    assert code == 1
    assert out.splitlines() == [
        *(f"{n}.jsonl: claude-code, 'claude code' of claude; recorded 1 new line, 1 dispatch" for n in range(3)),
        "3.json: anthropic-cost, 'anthropic cost report' of claude; recorded 1 unreadable line",
        "'claude code' of claude: recorded 1 reading, in cycle 1",
    ]
    assert err.count("note: these logs are") == 1
    again = mecris(path, "import", str(tmp_path / "in"), "--json")
    answers = json.loads(again[1])
    assert [(a["file"], a["recorded"]) for a in answers] == [(f"{n}.jsonl", False) for n in range(3)] + [
        ("3.json", False)
    ]
    assert answers[2]["report_usd"] == 0.03


@pytest.mark.sqlite
def test_what_else_lies_in_a_folder_is_passed_over(tmp_path: Path, put: Put) -> None:
    (folder := tmp_path / "in").mkdir()
    path = folder / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    put("in/a.jsonl", jsonl(claude_line("m", 200)))
    put("in/empty.jsonl", b"")
    memo = put("in/MEMORY.md", b"# What to remember: all of it\n")
    code, out, err = mecris(path, "import", str(folder))
    assert (code, "recorded 1 new line" in out) == (0, True)
    told = [line for line in err.splitlines() if line.startswith("passed over: ")]
    assert told[0] == f"passed over: {memo} is of no format that is known"
    assert [line.split()[2] for line in told[1:4]] == [f"{path}{of}" for of in ("", "-shm", "-wal")]
    assert told[4] == f"passed over: {folder}/empty.jsonl is empty"
    answers = json.loads(mecris(path, "import", str(folder), "--json")[1])
    assert {a["file"]: a["code"] for a in answers if a.get("passed_over")} == dict.fromkeys(
        ["MEMORY.md", *(f"books.db{of}" for of in ("", "-shm", "-wal")), "empty.jsonl"], "unknown-format"
    )
    assert mecris(path, "import", str(folder), str(memo))[0] == 3, "what is named is not passed over"
    put("in/half.json", cost_report({1: "100"})[:-9])
    assert mecris(path, "import", str(folder))[0] == 3, "what may be broken is not passed over"
    (folder / "half.json").unlink()
    for n in range(5):
        put(f"in/{n}.txt", b"notes")
    code, _, err = mecris(path, "import", str(folder))
    assert (code, err.count("passed over: ")) == (0, 5)
    assert err.endswith("passed over: 6 more files, empty or of no format that is known\n")


def test_a_folder_whose_cycles_cannot_be_told_is_kept_and_that_is_said(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    name = ("budget", "add-source", "--cycle", "1", "--name", "claude code", "--type", "manual", "--amount", "1")
    assert mecris(path, *name)[0] == 0
    logs = [str(put(f"{n}.jsonl", jsonl(claude_line(f"m{n}", 200)))) for n in range(2)]
    code, _, err = mecris(path, "import", *logs)
    assert code == 3
    assert "refused: 'claude code' of claude: cycle 1 has a source 'claude code' that is not of this report" in err
    assert "; its lines are kept: import any of its files again after that, or, before they get another name, " in err
    mecris(path, "budget", "retract", "--cycle", "1", "--reading", "1", "--reason", "another name")
    assert "recorded 1 reading, in cycle 1" in mecris(path, "import", *logs)[1]


def test_two_tables_without_a_name_are_told_to_name_their_source(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    of = "date,usd,provider\n2025-09-01,1,{}\n"
    tables = [str(put(f"{who}.csv", of.format(who).encode())) for who in ("claude", "groq")]
    code, _, err = mecris(path, "import", *tables)
    assert code == 3
    assert "that is not of this report: name the source of a plain CSV in a column `source`, " in err
    withdraw = err.rpartition("`mecris ")[2].partition(" --reason")[0].split()
    assert mecris(path, *withdraw, "--reason", "it has a name now")[0] == 0
    named = put("named.csv", b"date,usd,provider,source\n2025-09-01,1,groq,groq bill\n")
    assert "recorded 1 new line, 1 reading, in cycle 1" in mecris(path, "import", str(named))[1]


def test_a_cycle_that_is_opened_or_reopened_says_what_it_was_told_of_files(
    books: Books, tmp_path: Path, put: Put
) -> None:
    path = tmp_path / "books.db"
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="x"))
    books.import_file(put("a.json", cost_report({1: "100", 2: "50"})))
    books.import_file(put("b.csv", csv("2025-10-01,7,c,groq,export,realtime")))
    _, again, _ = mecris(path, "budget", "cycle", "reopen", "--cycle", "1", "--reason", "x")
    assert again.splitlines()[:2] == ["cycle 1 is open again", "  of files that were imported before: 2 readings"]
    _, new, _ = mecris(
        path, "budget", "cycle", "create", "--start", "2025-10-01", "--end", "2025-10-31", "--target", "9"
    )
    assert new.splitlines()[1:] == ["  of files that were imported before: 1 reading"]


def test_a_file_whose_name_has_a_line_break_is_told_on_one_line(books: Books, tmp_path: Path, put: Put) -> None:
    path, table = tmp_path / "books.db", csv("2025-09-01,1.5,,claude,bill,manual", "2025-09-02,x,,claude,bill,manual")
    code, out, _ = mecris(path, "import", str(put("a\n\x1bb.csv", table)))
    assert (code, out.splitlines()[0].partition(": ")[0]) == (1, "a\\n\\x1bb.csv")
    assert len(mecris(path, "evidence", "list")[1].splitlines()) == 2
    assert len(mecris(path, "evidence", "quarantine")[1].splitlines()) == 1
    _, _, err = mecris(path, "import", str(put("c\nd", b"?")))
    assert err.startswith("refused: c\\nd is of no format")


def test_the_answers_of_a_dry_run_say_so(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    files = str(put("a.json", cost_report({1: "100"}))), str(put("x.bin", b"\x00"))
    dry, done = (json.loads(mecris(path, "import", *files, "--json", *more)[1]) for more in (["--dry-run"], []))
    assert [(a["recorded"], a.get("dry_run")) for a in dry] == [(True, True), (False, True)]
    assert [(a["recorded"], a.get("dry_run")) for a in done] == [(True, None), (False, None)]


def test_what_comes_through_the_standard_input_is_a_file_like_any_other(books: Books, tmp_path: Path) -> None:
    table = csv("2025-09-01,1.5,,claude,bill,manual").decode()
    told = [mecris(tmp_path / "books.db", "import", "-", input=table) for _ in range(2)]
    assert [code for code, _, _ in told] == [0, 0]
    assert told[0][1] == "stdin: csv, 'bill' of claude; recorded 1 new line, 1 reading, in cycle 1\n"
    assert told[1][1] == "stdin: nothing new\n"
    assert books.status(1)["totals"]["manual_usd"] == Decimal("1.5")


def test_a_page_that_comes_through_the_standard_input_again_is_another_look(books: Books, tmp_path: Path) -> None:
    page = "<html><body>$5.42 USD</body></html>"
    words = ("import", "-", "--provider", "claude", "--cycle", "1")
    told = [mecris(tmp_path / "books.db", *words, input=page)[1] for _ in range(2)]
    assert all("recorded 1 reading" in text for text in told)


def test_without_a_standard_input_that_is_said(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m mecris.cli --books "{tmp_path / "books.db"}" import - <&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        6, "could not be done: there is no standard input to read: name a file instead of -\n",
    )  # fmt: skip
    assert not (tmp_path / "books.db").exists()


def test_what_was_piped_does_not_stay_behind_when_the_import_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mecris.cli", "--books", str(tmp_path / "books.db"), "import", "-"]
    there = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=there) as process:
        assert process.stdin is not None
        while not list(tmp_path.glob("mecris-*/stdin")):
            sleep(0.02)
        process.terminate()
        process.wait(20)
    assert list(tmp_path.glob("mecris-*")) == []


def test_the_exit_code_tells_of_lines_that_could_not_be_read(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    bad = put("bad.json", cost_report({1: "100", 2: "none"}))
    code, out, err = mecris(path, "import", str(bad), str(put("x.bin", b"\x00")))
    assert code == 3
    assert "line 2 cannot be read: amount 'none' is no amount" in err
    assert "refused: x.bin is of no format that is known" in err
    assert "1 unreadable line" in out
    assert mecris(path, "import", str(bad))[:2] == (1, "bad.json: nothing new; 1 line of it cannot be read\n")
    code, out, _ = mecris(path, "evidence", "quarantine")
    digest = out.partition("(")[2][:12]
    assert (code, out) == (1, f"bad.json ({digest}), line 2: amount 'none' is no amount\n")
    assert mecris(path, "evidence", "quarantine", "--retry")[2].endswith("was read again: 1 line cannot be read\n")
    assert mecris(path, "evidence", "settle", "zz", "--reason", "x")[0] == 3
    settle = ("evidence", "settle", digest, "--reason", "the mended export was imported")
    assert mecris(path, *settle) == (0, f"{digest} is settled\n", "")
    assert mecris(path, *settle) == (0, "it was settled before\n", "")
    assert mecris(path, "evidence", "quarantine") == (0, "", "")
    assert mecris(path, "import", str(bad))[:2] == (0, "bad.json: nothing new\n")
    assert mecris(path, "evidence", "quarantine", "--retry")[0] == 0
    assert mecris(path, "import")[0] == 2


def test_a_watched_folder_is_imported_as_it_fills(tmp_path: Path) -> None:
    path, folder = tmp_path / "books.db", tmp_path / "in"
    folder.mkdir()
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "bomb.zip").write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    command = [sys.executable, "-m", "mecris.cli", "--books", str(path), "import", "--watch", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            (folder / "a.json").write_bytes(cost_report({1: "100"}))
            with Books.open(path) as books:
                _until(lambda: len(books.evidence()) == 1)
                (folder / "sub").mkdir()
                (folder / "sub" / "b.json").write_bytes(cost_report({2: "50"}))
                _until(lambda: len(books.evidence()) == 2)
                (folder / "a.json").write_bytes(cost_report({1: "110"}))
                _until(lambda: len(books.evidence()) == 3)
                assert books.status(1)["totals"]["realtime_usd"] == Decimal("1.6")
            assert watching.poll() is None, "it stays up"
        finally:
            watching.kill()
        assert "bomb.zip" in watching.stderr.read()  # type: ignore[union-attr]


def test_a_watched_file_is_tried_again_when_only_the_books_stood_in_its_way(
    books: Books, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mecris.cli import watching

    (tmp_path / "in").mkdir()
    folder = put("in/page.html", b"<html><p>$1 USD</p></html>").parent
    put("in/none.bin", b"\x00\x01")
    looks = 0

    def pause(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=1))
        if looks == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching, "LATER", 0.0)
    monkeypatch.setattr(watching.time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(books, folder, {"dry_run": False}, as_json=False)
    assert [f["file"] for f in books.evidence()] == ["page.html"]
    said = capsys.readouterr()
    assert said.out.count("page.html") == 1, "once it is imported it is left alone"
    assert said.err.count("none.bin is of no format") == 1, "what is no file of ours is told once"
    assert said.err.count("falls in no cycle") == 2


def test_a_watched_folder_that_goes_and_comes_back_is_told_once(
    books: Books, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mecris.cli import watching

    folder, looks = tmp_path / "in", iter(range(1, 100))
    folder.mkdir()

    def pause(_: float) -> None:
        match next(looks):
            case 1:
                folder.rmdir()
            case 4:
                folder.mkdir()
                put("in/a.json", cost_report({1: "100"}))
            case 8:
                raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(books, folder, {"dry_run": False}, as_json=False)
    assert [f["file"] for f in books.evidence()] == ["a.json"]
    said = capsys.readouterr().err
    assert said.count(f"{folder} is gone: it is watched again when it is back\n") == 1
    assert said.count(f"{folder} is back\n") == 1


def test_a_watched_file_says_that_it_is_tried_again_when_the_books_could_not_be_reached(
    books: Books, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mecris.cli import watching

    (tmp_path / "in").mkdir()
    put("in/a.json", cost_report({1: "100"}))
    looks = iter(range(1, 100))

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the books cannot be reached")

    def pause(_: float) -> None:
        if next(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(books, "import_file", away)
    monkeypatch.setattr(watching.time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(books, tmp_path / "in", {"dry_run": False}, as_json=False)
    assert "the books cannot be reached\n  a.json is tried again in 30 s\n" in capsys.readouterr().err


def _until(true: Callable[[], bool]) -> None:
    for _ in range(300):
        if true():
            return
        sleep(0.1)
    raise AssertionError("it did not happen")


HOSTILE = {
    "laughs.html": b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><html><p>&b;</p></html>',
    "deep.json": b"[" * 1_000_000,
    "deep-object.json": b'{"data":' * 100_000,
    "nul.csv": b"date,usd\n2025-09-01,1\x00\n",
    "nul.json": b'{"cost_usd": 1\x00}',
    "latin.csv": "date,usd,description\n2025-09-01,1,caf\xe9\n".encode("latin-1"),
    "line.jsonl": b'{"type": "assistant", "sessionId": "s", "uuid": "' + b"x" * 20_000_000 + b'"}\n',
    "digits.json": b'{"cost_usd": ' + b"9" * 100_000 + b"}",
    "empty": b"",
    "bom": b"\xef\xbb\xbf",
    "half.html": b"<html><div>$1.00" + b"<div>" * 50_000,
    "numbers.json": b'{"data": [' + b"1," * 100_000 + b"1]}",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_files_are_refused_or_read_and_nothing_falls_over(books: Books, put: Put, name: str) -> None:
    before = books.position
    try:
        answer = books.import_file(put(name, HOSTILE[name], "2025-09-10T00:00:00Z"))
        assert answer["unreadable"] or answer["readings"] <= 1
    except MecrisError as refused:
        assert len(refused.message) < 2000
        assert books.position == before
    assert books.verify().faults == []


# -- large files -------------------------------------------------------------------------------------------------

CUT_OFF = f'#!/bin/sh\n"{sys.executable}" "$@" | head -c "$BYTES"\n'


@pytest.mark.parametrize("given", [None, 0, 5, 1_200_000], ids=["all of it", "nothing", "half a length", "a batch"])
def test_a_file_that_another_process_reads_ahead_says_the_same_however_far_that_comes(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int | None
) -> None:
    lines = [claude_line(f"m{n}", n, session=f"s{n % 3}") for n in range(12_000)]
    path = put("log.jsonl", jsonl(*lines, {"timestamp": "no", "message": {"usage": {}}}))
    alone = september(tmp_path / "alone.db")
    alone.import_file(path)
    monkeypatch.setattr(importing, "LARGE", 0)
    if given is not None:
        reader = put("reader", CUT_OFF.encode())
        reader.chmod(0o700)
        monkeypatch.setenv("BYTES", str(given))
        monkeypatch.setattr(sys, "executable", str(reader))
    told: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    beside = september(tmp_path / "beside.db")
    answer = beside.import_file(path, progress=told.append)
    assert [process.returncode is not None for process in started] == [True]
    assert (answer["new"], answer["unreadable"], told[-1]) == (12_000, 1, path.stat().st_size)
    assert told == sorted(told)
    assert beside.runs() == alone.runs()
    assert beside.status(1)["totals"] == alone.status(1)["totals"]


@pytest.mark.parametrize("program", [None, "", "/nowhere"])
def test_where_no_other_process_can_be_started_a_large_file_is_read_all_the_same(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    monkeypatch.setattr(importing, "LARGE", 0)
    monkeypatch.setattr(sys, "executable", program)
    assert books.import_file(put("log.jsonl", jsonl(claude_line("m1", 1))))["new"] == 1


def test_a_large_file_keeps_the_later_of_its_times_for_another_cycle_too(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LARGE", 0)
    table = csv("2025-09-01,5,a,groq,export,realtime")
    books.import_file(put("a.csv", table, "2025-10-03T00:00:00Z"))
    books.import_file(put("b.csv", csv("2025-09-01,6,a,groq,export,realtime"), "2025-10-02T00:00:00Z"))
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=1))
    books.import_file(put("a.csv", table, "2025-10-01T00:00:00Z"), cycle_id=2)
    books.import_file(put("c.csv", csv("2025-09-01,7,a,groq,export,realtime"), "2025-10-02T12:00:00Z"))
    assert books.status(1)["totals"]["realtime_usd"] == 5


def test_the_collector_is_as_it_was_after_large_files_at_once(books: Books) -> None:
    before = gc.get_threshold()
    first, second = ahead.collecting_seldom(), ahead.collecting_seldom()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold() != before
    second.__exit__(None, None, None)
    assert gc.get_threshold() == before


def test_a_file_is_packed_once_by_whatever_compresses_it(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = csv(*(f"2025-09-01,{n},{n},groq,export,realtime" for n in range(2000)))
    books.import_file(put("a.csv", table))
    monkeypatch.setattr(packing, "_compressor", lambda: zlib.compressobj(9))
    books.import_file(put("b.csv", table, "2025-10-04T00:00:00Z"))
    with books.file.reading() as connection:
        (kept,) = connection.execute("SELECT content FROM evidence").fetchall()
    assert zlib.decompress(kept[0]) == table


def test_a_large_file_that_is_refused_is_refused_for_the_same_reason(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LARGE", 0)
    with pytest.raises(PayloadRefused, match="this is not JSON: Expecting"):
        books.import_file(put("cost.json", b"[1, 2"), format="litellm")


def test_a_file_that_changes_while_it_is_read_records_nothing(books: Books, put: Put) -> None:
    path = put("a.csv", csv("2025-09-01,5,a,groq,export,realtime"))
    before = books.position

    def still_written(_: int) -> None:
        with path.open("ab") as stream:
            stream.write(b"\n2025-09-02,6,b,groq,export,realtime")

    with pytest.raises(Unavailable, match="changed while it was read"):
        books.import_file(path, progress=still_written)
    assert books.position == before
    assert books.import_file(path, exported_at=books.now())["recorded"]
