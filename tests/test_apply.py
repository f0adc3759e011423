"""Orders as lines of JSON: each is done or refused for itself, and what is done once is done once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mecris.books import Books
from mecris.books.applying import of_line, to_line
from mecris.domain import commands as c
from mecris.domain.errors import MecrisError, RuleRefused

OPEN = {"command": "open-cycle", "key": "open", "start_date": "2025-09-01", "end_date": "2025-09-30", "target_usd": 30}


def source(**fields: Any) -> dict[str, Any]:
    """A reading of a meter."""
    return {"command": "record-source", "cycle_id": 1, "source": "api", "type": "realtime", "amount": 1, **fields}


def applied(path: Path, *lines: Any, words: tuple[str, ...] = ()) -> tuple[int, list[Any], str]:
    """The exit code, the answers, and the talk of a stream of orders."""
    given = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    command = [sys.executable, "-m", "mecris.cli", "--books", str(path), "apply", "-", *words]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def test_each_order_is_answered_with_a_line(tmp_path: Path) -> None:
    code, answers, _ = applied(tmp_path / "b.db", OPEN, b"", source())
    assert (code, [(a["line"], a["ok"], a["replayed"]) for a in answers]) == (0, [(1, True, False), (3, True, False)])
    assert answers[0]["answer"] == {"cycle_id": 1, "recorded": True, "position": 1}


def test_it_stops_at_the_first_refusal_and_what_came_before_is_done(tmp_path: Path) -> None:
    code, answers, talk = applied(tmp_path / "b.db", OPEN, source(amount=-1), source())
    assert (code, [a["ok"] for a in answers]) == (3, [True, False])
    assert talk.endswith("1 order refused: stopped there, what came before is done\n")
    with Books.open(tmp_path / "b.db") as books:
        assert books.position == 1


def test_it_goes_on_when_asked_to_and_tells_the_first_refusal_with_its_code(tmp_path: Path) -> None:
    lines = (OPEN, {**OPEN, "target_usd": 31}, source(amount=-1), source(cycle_id=9), source())
    code, answers, talk = applied(tmp_path / "b.db", *lines, words=("--keep-going",))
    assert (code, [a.get("code") for a in answers]) == (4, [None, "key-reused", "amount", "cycle-not-found", None])
    assert talk.endswith("3 orders refused\n")


def test_with_keys_the_whole_stream_can_be_applied_again(tmp_path: Path) -> None:
    lines = (OPEN, source(key="1"), source(key="2", amount=2))
    first, again = applied(tmp_path / "b.db", *lines)[1], applied(tmp_path / "b.db", *lines)[1]
    assert [a["answer"] for a in first] == [a["answer"] for a in again]
    assert [a["replayed"] for a in again] == [True, True, True]
    with Books.open(tmp_path / "b.db") as books:
        assert books.position == 3


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "the line is not JSON: "),
        (b"[1]", "the line is no JSON object"),
        (b"{}", 'the line names no order: give "command" (there are: adjust-budget, '),
        (b'{"command": []}', "there is no order '[]'"),
        (b'{"command": "create-token"}', "there is no order 'create-token'"),
        (b'{"command": "raise-alert"}', "there is no order 'raise-alert'"),
        (b'{"command": "reconcile", "cycle_id": 1, "cycle_id": 2}', "the line is not JSON: 'cycle_id' stands twice"),
        (b'{"command": "reconcile", "cycle_id": 1e999999999}', "reconcile cannot be read: cycle_id: give a whole number"),
        (b'{"command": "reconcile", "cycle_id": "1"}', "reconcile cannot be read: cycle_id: give a whole number"),
        (b'{"command": "reconcile", "cycle_id": true}', "reconcile cannot be read: cycle_id: give a whole number"),
        (b'{"command": "reconcile", "cycle_id": 1, "key": 1}', "the key is a text"),
        (b'{"command": "reconcile"}', "reconcile cannot be read: cycle_id: is missing"),
        (b'{"command": "reconcile", "cycle_id": NaN}', "the line is not JSON: NaN is no number"),
        (b'\xff', "the line is not valid UTF-8 (byte 0)"),
        (b'{"command": "record-source", "cycle_id": 1, "source": "a", "amount": 1e999999999}', "amount 1E+999999999 is out of range"),
        (b'{"command": "record-source", "cycle_id": 1, "source": "a", "amount": true}', "amount True is a bool"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_order_is_told_what_is_wrong(line: bytes, told: str) -> None:
    with pytest.raises(MecrisError) as refused:
        of_line(line)
    assert str(refused.value).startswith(told)


def test_every_order_that_is_offered_goes_through_text_and_comes_back() -> None:
    orders: list[c.Command] = [
        c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="30", notes="n", roll_over_from=1),
        c.AdjustBudget(cycle_id=1, amount_usd="-0.000000000001", reason="r", at="2025-09-10", provider="p"),
        c.ChangeThresholds(cycle_id=1, excellent="1.5", good=2, fair=3),
        c.RecordSource(cycle_id=1, source="s", type="manual", balance="1.10", credit="2", currency="EUR", rate="1.1"),
        c.RetractReading(cycle_id=1, reading=2, reason="r", reconcile=False),
        c.ApplyPlug(cycle_id=1, square=True, reason="r", yes=True, expected_usd="1.2", evidence="e"),
        c.ReversePlug(cycle_id=1, plug=1, reason="r"),
        c.Reconcile(cycle_id=1),
        c.CloseCycle(cycle_id=1, accept=True, reason="r"),
        c.ReopenCycle(cycle_id=1, reason="r"),
        c.RollOver(cycle_id=2, from_cycle=1),
        c.RecordDispatches(run_id="r", dispatches=(c.Dispatch(dispatch_id="d", input_tokens=1, output_tokens=2),)),
        c.ReconcileTokens(run_id="r", billed_in=1, billed_out=2, tolerance_percent="0.5"),
        c.ReadOdometer(provider="groq", amount_usd="0.8", month="2025-08"),
        c.FinalizeMonth(provider="groq", month="2025-08"),
        c.ReopenMonth(provider="groq", month="2025-08", reason="r"),
        c.FeedCycle(provider="groq", cycle_id=1),
        c.StopFeeding(provider="groq", cycle_id=1, reason="r"),
        c.RevokeToken(token_name="ci", reason="r"),
    ]
    assert {order.name for order in orders} == c.NAMED.keys() - c.INNER
    for order in orders:
        assert of_line(to_line(order, "k")) == (order, "k")


def test_the_body_of_a_request_is_a_line_too() -> None:
    rest = '{"command": "record-source", "cycle_id": 1, "name": "api", "amount_usd": 1.5, "raw_payload": "x"}'
    ours = '{"command": "record-source", "cycle_id": 1, "source": "api", "amount": 1.5, "payload": "x"}'
    assert of_line(rest) == of_line(ours)


def test_orders_that_only_mecris_gives_are_refused_as_text() -> None:
    for name in c.INNER:
        with pytest.raises(RuleRefused) as refused:
            of_line(json.dumps({"command": name}))
        assert refused.value.code == "unknown-order"


def test_a_full_disk_behind_the_answers_is_no_fault_of_ours(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        return
    command = [sys.executable, "-m", "mecris.cli", "--books", str(tmp_path / "b.db"), "apply", "-"]
    with full.open("w") as nowhere:
        done = subprocess.run(
            command, input=json.dumps(OPEN).encode(), stdout=nowhere, stderr=subprocess.PIPE, timeout=60
        )
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (6, "could not be done: No space left on device")
