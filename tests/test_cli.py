"""The command line: exact output, exit codes, and what happens to wrong words."""

import io
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mecris.cli.main import run


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Mecris = Callable[..., Said]


@pytest.fixture
def mecris(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mecris:
    """The command line on books of its own."""
    monkeypatch.setenv("MECRIS_BOOKS", str(tmp_path / "books.db"))
    monkeypatch.chdir(tmp_path)

    def call(line: str, *more: str, stdin: bytes | None = None) -> Said:
        reader = io.TextIOWrapper(io.BytesIO(stdin or b""), encoding="utf-8", newline="")
        monkeypatch.setattr("sys.stdin", reader)
        code = run([*shlex.split(line), *more])
        return Said(code, *capsys.readouterr())

    return call


OPEN = "budget cycle create --start 2025-08-06 --end 2025-09-30 --target 24.96"
METER = "budget add-source --cycle 1 --name 'session log' --type realtime --provider claude --amount 0.11 --measured-at 2025-09-10T09:00:00Z"
CONSOLE = "budget add-source --cycle 1 --name console --type manual --provider claude --remaining 19.54 --measured-at 2025-09-10T09:05:00Z"
SQUARE = "budget plug --cycle 1 --square --reason 'outside the organization' --yes"


@pytest.fixture
def founded(mecris: Mecris) -> Mecris:
    """The founding story up to the look at the console."""
    for line in (OPEN, METER, CONSOLE):
        assert mecris(line).code == 0
    return mecris


def test_the_founding_story_in_words(mecris: Mecris) -> None:
    assert mecris(OPEN) == (0, "cycle 1 is open: 24.96 from 2025-08-06 to 2025-09-30\n", "")
    assert mecris(METER) == (
        0,
        "reading 1: 'session log' says 0.11 were spent\ncycle 1: 24.85 left of 24.96, 0.00 unexplained, UNVERIFIED\n",
        "",
    )
    assert mecris(CONSOLE) == (
        0,
        "reading 2: 'console' says 5.42 were spent\n"
        "cycle 1: 19.54 left of 24.96, 5.31 unexplained, POOR (97.97 % apart)\n",
        "",
    )
    assert mecris(SQUARE) == (
        0,
        "plug 1: 5.31 explained\ncycle 1: 19.54 left of 24.96, 0.00 unexplained, EXCELLENT (0 % apart)\n",
        "",
    )
    assert mecris("budget status --cycle 1") == (
        0,
        """\
Cycle 1  2025-08-06 to 2025-09-30  ended

  budget       24.96
  tracked       0.11   a meter saw 2.03 % of what was spent
  plugged       5.31
  unexplained   0.00
  spent         5.42   100 % of it was compared
  remaining    19.54

  EXCELLENT  0.00 apart (0 %)
  health     WARNING: 'claude' was last measured 20 days before the end: read it again
  burn       0.15 a day
  forecast   8.58 expected by its end, 16.38 left
""",
        "",
    )
    assert mecris("audit replay").out.startswith("7 events replayed, 0 differences, ")


def test_the_founding_story_in_json(founded: Mecris) -> None:
    before = founded("budget status --cycle 1 --json").json
    assert before["tie_out"] == {
        "tracked_usd": 0.11,
        "plugged_usd": 0,
        "unexplained_usd": 5.31,
        "spent_usd": 5.42,
        "remaining_usd": 19.54,
        "coverage_percent": 2.0295,
        "verified_percent": 100,
    }
    assert (before["grade"], before["diff_usd"], before["percent"]) == ("POOR", 5.31, 97.9705)
    assert founded(SQUARE + " --json").json | {"position": 7} == {
        "cycle_id": 1,
        "recorded": True,
        "plug": 1,
        "provider": "claude",
        "amount_usd": 5.31,
        "unexplained_usd": 0,
        "position": 7,
    }
    after = founded("budget status --cycle 1 --json").json
    assert after["cycle"] == {
        "id": 1,
        "start_date": "2025-08-06",
        "end_date": "2025-09-30",
        "target_usd": 24.96,
        "budget_usd": 24.96,
        "state": "ended",
        "closed": None,
        "rolled_over_to": None,
        "notes": None,
        "timezone": "UTC",
        "days_left": 0,
    }
    assert (after["grade"], after["tie_out"]["remaining_usd"], after["stale"]) == ("EXCELLENT", 19.54, False)
    founded("budget cycle adjust --cycle 1 --amount 0.04 --at 2025-08-06 --reason '25.00 were paid'")
    late = founded("budget status --cycle 1 --json").json
    assert (late["tie_out"]["unexplained_usd"], late["percent"], late["tie_out"]["remaining_usd"]) == (
        0.04,
        0.7326,
        19.54,
    )


def test_the_worked_month_with_a_pasted_dashboard(mecris: Mecris) -> None:
    mecris("budget cycle create --start 2025-09-01 --end 2025-09-30 --target 30")
    mecris(
        "budget add-source --cycle 1 --name 'Claude API' --type realtime --amount 0.42 --measured-at 2025-09-30T20:00:00Z"
    )
    line = "budget add-source --cycle 1 --name 'Claude Dashboard' --type manual --measured-at 2025-09-30T20:02:00Z"
    said = mecris(line + ' --amount 0.42 --raw "<div>$0.42 USD</div>"')
    assert said.out.splitlines()[1] == "cycle 1: 29.58 left of 30.00, 0.00 unexplained, EXCELLENT (0 % apart)"
    assert mecris("budget reconcile --cycle 1").out.startswith("nothing new: what is on record still stands\n")


def test_an_amount_that_disagrees_with_its_payload_is_refused(founded: Mecris) -> None:
    said = founded("budget add-source --cycle 1 --name console --amount 0.43 --raw '$0.42 USD'")
    assert said == (
        3,
        "",
        "refused: the amount says $0.43, the payload says $0.42: give the right one, or only the payload\n",
    )


def test_a_paste_with_two_amounts_is_refused(founded: Mecris) -> None:
    said = founded("budget add-source --cycle 1 --name console --raw '$0.42 USD of $10 USD'")
    assert said == (
        3,
        "",
        "refused: the payload names several amounts ($0.42, $10.00): say with --amount which one it is\n",
    )


def test_a_payload_comes_from_the_line_a_file_or_standard_input(founded: Mecris, tmp_path: Path) -> None:
    page = "<p>US$5.50</p>\r\n"
    (tmp_path / "page.html").write_bytes(page.encode())
    line = "budget add-source --cycle 1 --name console --json --raw"
    assert founded(line, "@page.html").json["amount_usd"] == 5.5
    assert founded(line, "-", stdin=page.encode()).json["amount_usd"] == 5.5
    assert founded(line, "@@ US$5.50").json["amount_usd"] == 5.5
    kept = [e.get("payload") for e in founded("audit log --json").json if e["event"] == "source-recorded.v1"]
    assert kept == [None, None, page, page, "@ US$5.50"]


@pytest.mark.parametrize(("raw", "stdin"), [("@missing.html", b""), ("-", b"\xff\xfe$1 USD")])
def test_a_payload_that_cannot_be_read_is_wrong_usage(founded: Mecris, raw: str, stdin: bytes) -> None:
    said = founded("budget add-source --cycle 1 --name console --raw", raw, stdin=stdin)
    assert said.code == 2
    assert "Error: " in said.err


# -- exit codes ---------------------------------------------------------------------------------------------------------


def test_exit_1_says_the_answer_is_bad_news(founded: Mecris) -> None:
    assert founded("budget reconcile --cycle 1 --fail-under FAIR").code == 1
    founded(SQUARE)
    assert founded("budget reconcile --cycle 1 --fail-under excellent").code == 0
    founded("budget cycle create --start 2025-10-01 --end 2025-10-31 --target 5")
    unverified = founded("budget reconcile --cycle 2 --fail-under POOR")
    assert (unverified.code, "UNVERIFIED" in unverified.out) == (1, True)


@pytest.mark.parametrize(
    "line",
    [
        "budget",
        "budget fly",
        "budget status --cycle one",
        "budget plug --cycle 1 --reason x",
        "budget plug --cycle 1 --reason x --square --amount 1",
        "budget add-source --cycle 1 --name x --type realtime",
        "budget add-source --cycle 1 --name x --type other --amount 1",
        "budget add-source --cycle 1 --name x --amount five",
        "budget reconcile --cycle 1 --fail-under GREAT",
        "audit log --since -1",
        "completion tcsh",
    ],
)
def test_exit_2_says_wrong_usage(mecris: Mecris, line: str) -> None:
    said = mecris(line)
    assert (said.code, said.out) == (2, "")
    assert "Usage: mecris" in said.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("budget status", "not found: the books hold no cycle yet: open one with `mecris budget cycle create`"),
        (
            "budget status --cycle 9",
            "not found: there is no cycle 9 (there are: none): `mecris budget cycle list` shows them",
        ),
        (
            "budget add-source --cycle 9 --name m --type realtime --amount 1",
            "not found: there is no cycle 9: `mecris budget cycle list` shows those there are",
        ),
        ("audit log --cycle 9", "not found: there is no cycle 9: `mecris budget cycle list` shows those there are"),
        (
            "budget cycle create --start 2025-09-30 --end 2025-09-01 --target 1",
            "refused: the cycle would end on 2025-09-01, before it starts on 2025-09-30: swap the two days",
        ),
        (
            "budget cycle create --start 2025-09-01 --end 2025-09-30 --target nan",
            "refused: amount nan is not a finite number: write it like 5.42",
        ),
    ],
)
def test_exit_3_says_refused_or_not_found(mecris: Mecris, line: str, told: str) -> None:
    assert mecris("budget cycle list").code == 0
    assert mecris(line) == (3, "", told + "\n")


@pytest.mark.parametrize(
    ("day", "told"),
    [
        ("2025-9-1", "2025-9-1 is not written as a day: write it like 2025-09-01"),
        ("2025-09-01T09:00:00Z", "2025-09-01T09:00:00Z is not written as a day: write it like 2025-09-01"),
        ("2025-02-30", "2025-02-30 is not a day of the calendar: give one like 2025-09-01"),
        ("1969-12-31", "1969-12-31 is out of range: give a day from 1970 to 9000"),
    ],
)
def test_a_day_is_told_what_is_wrong_with_it(mecris: Mecris, day: str, told: str) -> None:
    line = f"budget cycle create --start {day} --end 2025-09-30 --target 1"
    assert mecris(line) == (3, "", f"refused: {told}\n")


def test_exit_4_says_conflict(founded: Mecris) -> None:
    line = "budget add-source --cycle 1 --name 'session log' --idempotency-key k --json --amount"
    first = founded(line, "0.2")
    again = founded(line, "0.2")
    assert (again.code, again.out) == (0, first.out)
    assert again.err == "replayed: this order was done before, here is its first answer again\n"
    other = founded(line, "0.3")
    assert (other.code, other.out) == (4, "")
    assert other.err.startswith("conflict: the idempotency key 'k' was used before for another order")
    assert [e["event"] for e in founded("audit log --since 5 --json").json] == ["source-recorded.v1"]


@pytest.mark.parametrize(
    "line",
    [
        "budget cycle adjust --cycle 1 --amount 5 --reason x",
        "budget add-source --cycle 1 --name 'session log' --amount 10",
        "budget cycle thresholds --cycle 1 --excellent 1 --good 2 --fair 3",
        "budget plug --cycle 1 --square --yes --reason x",
    ],
)
def test_whole_amounts_are_answered_alike_with_and_without_a_key(founded: Mecris, line: str) -> None:
    first = founded(line + " --idempotency-key k")
    again = founded(line + " --idempotency-key k")
    assert (first.code, again.code, again.out) == (0, 0, first.out)


def test_a_number_no_book_can_hold_is_not_found(founded: Mecris) -> None:
    huge = "9" * 30
    for line in (
        f"budget status --cycle {huge}",
        f"audit log --cycle {huge}",
        f"budget retract --cycle 1 --reading {huge} --reason x",
    ):
        assert founded(line).code == 3


def test_a_head_that_is_none_is_wrong_usage_and_no_damage(founded: Mecris) -> None:
    assert founded("audit verify --expect 3:abc").code == 2


def test_a_reader_that_has_seen_enough_is_no_failure(founded: Mecris) -> None:
    command = f"{sys.executable} -m mecris.cli audit log | head -n 1; exit ${{PIPESTATUS[0]}}"
    assert subprocess.run(["bash", "-c", command], capture_output=True).returncode == 0


@pytest.mark.sqlite
def test_exit_5_says_damaged(mecris: Mecris, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear ledger, this is a letter and no database.")
    said = mecris("--books letter.txt budget cycle list")
    assert said == (5, "", f"damaged: {tmp_path}/letter.txt is not a Mecris file: name another file with --books\n")


@pytest.mark.sqlite
def test_exit_6_says_could_not_be_done(mecris: Mecris, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = mecris("--books file/books.db budget cycle list")
    assert (said.code, said.out) == (6, "")
    assert said.err.startswith(f"could not be done: {tmp_path}/file/books.db cannot be reached (")
    assert mecris("--books postgresql://localhost/x budget cycle list").code == 6
    said = mecris("--books mysql://localhost/x budget cycle list")
    assert (said.code, said.err[:50]) == (6, "could not be done: mysql: is no place for books: g")


def test_a_fault_of_ours_is_told_without_a_traceback(founded: Mecris, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("mecris.books.questions.tie_out", broken)
    said = founded("budget status --cycle 1")
    assert said.code == 6
    assert said.err.startswith("could not be done: ZeroDivisionError: oops\nThis is a fault of Mecris")


def test_exit_130_says_interrupted(founded: Mecris, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mecris.books.questions.tie_out", interrupted)
    assert founded("budget status --cycle 1") == (130, "", "\ninterrupted: nothing more was recorded\n")


# -- times --------------------------------------------------------------------------------------------------------------


def test_status_as_of_a_position_and_measured_by_a_time(founded: Mecris) -> None:
    founded(SQUARE)
    known = founded("budget status --cycle 1 --as-of 5 --json").json
    assert (known["tie_out"]["plugged_usd"], known["position"], known["as_of"]) == (0, 5, "5")
    inside = founded("budget status --cycle 1 --as-of 3 --json").json
    assert (inside["position"], inside["grade"]) == (5, "POOR")
    happened = founded("budget status --cycle 1 --measured-by 2025-09-10T09:04:00Z --json").json
    assert (happened["tie_out"]["tracked_usd"], happened["tie_out"]["plugged_usd"], happened["stale"]) == (
        0.11,
        0,
        None,
    )
    both = founded("budget status --cycle 1 --as-of 5 --measured-by 2025-09-10 --json").json
    assert (both["tie_out"]["unexplained_usd"], both["position"], both["measured_by"]) == (
        5.31,
        5,
        "2025-09-10T23:59:59.999999Z",
    )


def test_before_the_cycle_a_question_is_refused_and_told_which_time_would_answer(founded: Mecris) -> None:
    assert founded("budget status --cycle 1 --as-of 2025-09-01").err.count("--measured-by") == 1
    assert founded("budget status --cycle 1 --measured-by 2025-08-01").err.count("--as-of") == 1


# -- what is shown ------------------------------------------------------------------------------------------------------


def test_sources_and_their_history(founded: Mecris) -> None:
    founded("budget add-source --cycle 1 --name console --amount 54.2 --measured-at 2025-09-10T10:00:00Z")
    founded("budget retract --cycle 1 --reading 3 --reason 'a slip'")
    assert founded("budget sources --cycle 1 --history").out == (
        "reading  source       type      provider    usd  measured at\n"
        "      1  session log  realtime  claude     0.11  2025-09-10 09:00:00 UTC\n"
        "      2  console      manual    claude     5.42  2025-09-10 09:05:00 UTC\n"
        "      3  console      manual    claude    54.20  2025-09-10 10:00:00 UTC  retracted\n"
    )
    assert founded("budget sources --cycle 1 --json").json == [
        {
            "id": 1001, "name": "session log", "type": "realtime", "provider": "claude", "counted": True,
            "amount_usd": 0.11, "measured_at": "2025-09-10T09:00:00Z", "reading": 1,
        },
        {
            "id": 1002, "name": "console", "type": "manual", "provider": "claude", "counted": True,
            "amount_usd": 5.42, "measured_at": "2025-09-10T09:05:00Z", "reading": 2,
        },
    ]  # fmt: skip


def test_discrepancies_name_both_sides(founded: Mecris) -> None:
    told = founded("budget discrepancies --cycle 1 --json").json
    assert set(told) == {"cycle_id", "grade", "diff_usd", "percent", "stale", "generated_at", "details"}
    (pair,) = told["details"]
    assert pair["source_a"] == {
        "id": 1001, "name": "session log", "type": "realtime", "amount_usd": 0.11, "measured_at": "2025-09-10T09:00:00Z",
    }  # fmt: skip
    assert (pair["source_b"]["id"], pair["diff_usd"], pair["percent"], pair["grade"]) == (1002, 5.31, 97.9705, "POOR")


def test_cycles_are_listed(founded: Mecris) -> None:
    founded("budget cycle create --start 2025-10-01 --end 2025-10-31 --target 1234.5678")
    assert founded("budget cycle list").out == (
        "cycle  from        to          state      budget  spent   remaining  grade\n"
        "    1  2025-08-06  2025-09-30  ended       24.96   5.42       19.54  POOR\n"
        "    2  2025-10-01  2025-10-31  ended  1,234.5678   0.00  1,234.5678  UNVERIFIED\n"
    )


@pytest.mark.sqlite
def test_books_that_are_made_by_their_name_are_told(mecris: Mecris, tmp_path: Path) -> None:
    assert mecris("--books other.db budget cycle list --json") == (0, "[]\n", f"new books: {tmp_path}/other.db\n")
    assert mecris("--books other.db budget cycle list --json") == (0, "[]\n", "")


@pytest.mark.sqlite
@pytest.mark.parametrize("command", ["verify", "replay", "rebuild", "log"])
def test_what_checks_books_makes_none(mecris: Mecris, tmp_path: Path, command: str) -> None:
    for _ in range(2):
        code, out, err = mecris(f"--books other.db audit {command}")
        assert (code, out) == (3, "")
        assert err.startswith("not found: there are no books at ")
        assert err.endswith(", and none were made: check the name\n")
    (tmp_path / "empty.db").touch()
    assert mecris(f"--books empty.db audit {command}").code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]
    mecris("--books empty.db budget cycle list")
    assert mecris(f"--books empty.db audit {command}").code == 0


def test_empty_answers_are_empty_lists(mecris: Mecris) -> None:
    assert mecris("budget cycle list --json").out == "[]\n"
    assert mecris("audit log --json").out == "[]\n"
    mecris(OPEN)
    assert mecris("budget sources --cycle 1 --json").out == "[]\n"
    assert mecris("budget discrepancies --cycle 1 --json").json["details"] == []


def test_the_log_shows_every_event_with_its_own_fields(founded: Mecris) -> None:
    events = founded("audit log --cycle 1 --json").json
    assert [e["position"] for e in events] == [1, 2, 3, 4, 5]
    assert events[2]["event"] == "source-recorded.v1"
    assert (events[2]["balance_usd"], events[2]["via"], events[2]["measured_at"]) == (
        19.54,
        "cli",
        "2025-09-10T09:05:00Z",
    )
    assert [e["position"] for e in founded("audit log --since 1 --limit 2 --json").json] == [2, 3]
    assert len(founded("audit log").out.splitlines()) == 5


def on_a_terminal(line: str, **environment: str) -> str:
    """What a command shows on a terminal."""
    import os
    import pty

    shown: list[bytes] = []

    def read(descriptor: int) -> bytes:
        shown.append(os.read(descriptor, 4096))
        return b""  # the test's own output stays clean

    os.environ.update(environment)
    try:
        pty.spawn([sys.executable, "-m", "mecris.cli", *shlex.split(line)], read)
    finally:
        for name in environment:
            del os.environ[name]
    return b"".join(shown).decode()


def test_colours_only_on_a_terminal_and_not_where_none_are_wanted(founded: Mecris) -> None:
    assert "\x1b[" not in founded("budget status --cycle 1").out
    assert "\x1b[" in on_a_terminal("budget status --cycle 1")
    assert "\x1b[" not in on_a_terminal("budget status --cycle 1", NO_COLOR="1")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_their_completion(mecris: Mecris, shell: str) -> None:
    assert "_MECRIS_COMPLETE" in mecris(f"completion {shell}").out


def test_the_demo_tells_the_founding_story() -> None:
    done = subprocess.run([sys.executable, "-m", "mecris.cli", "demo"], capture_output=True, text=True, check=True)
    for figure in (
        "POOR (97.97 % apart)",
        "plug 1: 5.31 explained",
        "EXCELLENT  0.00 apart",
        "0 differences",
        "0.73 %",
        "as of position 5",
    ):
        assert figure in done.stdout
