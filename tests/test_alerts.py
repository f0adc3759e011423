"""Alerts: what is over its threshold, who hears of it, how often, and what the log keeps of that."""

import builtins
import json
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from receiver import Receiver, receiving

from mecris.books import Books, settings
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain.errors import AmountRefused, NotFound, RuleRefused, Unavailable
from mecris.domain.health import Limits
from mecris.notifiers.delivery import Notice, Patience, deliver
from mecris.notifiers.targets import targets

QUICK = Patience(attempts=3, timeout=0.4, pause=0.01)
OVER, FINE, REFUSED = 1, 0, 3
SECRET = "token=s3cr3t"  # no real one


@pytest.fixture
def clock() -> Clock:
    return Clock("2025-09-10T09:00:00Z")


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    """A cycle whose meter and console are 10 % apart."""
    with Books.open(tmp_path / "books.db", recorded_by="ada", clock=clock) as opened:
        opened.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=100))
        say(opened, "9", "10")
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def say(books: Books, meter: str, console: str) -> None:
    """The meter counts, then the console is read."""
    books.handle(c.RecordSource(cycle_id=1, source="meter", type="realtime", amount=meter))
    books.handle(c.RecordSource(cycle_id=1, source="console", type="manual", amount=console))


def alert(books: Books, threshold: str = "5", *notify: str, **more: Any) -> dict[str, Any]:
    return books.alert(threshold, 1, notify=notify, patience=QUICK, **more)


def label(url: str) -> str:
    """What a target is called."""
    (target,) = targets([url])
    return target.label


def logged(books: Books) -> list[tuple[str, int]]:
    """The alerts in the log: what happened to which."""
    return [(e["event"].removesuffix(".v1"), e["alert"]) for e in books.log() if e["event"].startswith("alert-")]


# -- what is over its threshold -------------------------------------------------------------------------------------


def test_a_discrepancy_within_its_threshold_and_good_health_are_no_alert(books: Books) -> None:
    assert alert(books, "10")["alerts"] == [], "10 % apart is not over 10 %"
    assert logged(books) == []


def test_a_discrepancy_over_its_threshold_is(books: Books) -> None:
    (found,) = alert(books, "9.99")["alerts"]
    assert (found["kind"], found["level"], found["raised"]) == ("discrepancy", "WARNING", True)
    assert found["message"] == (
        "cycle 1: $1.00 apart (10 %), over the threshold of 9.99 %; see mecris budget discrepancies --cycle 1"
    )


def test_the_threshold_is_held_against_unrounded_numbers(books: Books) -> None:
    say(books, "89.9999999", "100")  # 10.0000001 %, shown as 10 %
    told = alert(books, "10")
    assert (told["percent"], len([a for a in told["alerts"] if a["kind"] == "discrepancy"])) == (Decimal(10), 1)


def test_far_over_is_critical(books: Books) -> None:
    say(books, "40", "100")
    found = {a["kind"]: a["level"] for a in alert(books)["alerts"]}
    assert found["discrepancy"] == "CRITICAL"


def test_health_is_an_alert_of_its_own_kind(books: Books, clock: Clock) -> None:
    clock.set("2025-09-20T09:00:00Z")
    (found,) = alert(books, "50")["alerts"]
    assert (found["kind"], found["level"]) == ("health", "WARNING")
    assert "the unnamed provider was last measured 9 days ago" in found["message"]
    say(books, "100", "100")
    (found,) = alert(books, "50")["alerts"]
    assert (found["kind"], found["level"]) == ("health", "CRITICAL")
    assert "nothing is left of the budget" in found["message"]


def test_a_poor_grade_within_the_threshold_is_what_was_asked_for(books: Books) -> None:
    say(books, "16", "20")
    told = alert(books, "20")
    assert (told["grade"], told["health"], told["alerts"]) == ("POOR", "WARNING", [])


def test_silence_is_not_agreement(books: Books) -> None:
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=100))
    (found,) = books.alert(100, 2)["alerts"]
    assert found["kind"] == "health"
    assert "nothing could be compared" in found["message"]


def test_a_closed_cycle_is_settled(books: Books) -> None:
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="fine"))
    assert alert(books, "1")["alerts"] == []


def test_a_threshold_must_be_a_percentage(books: Books) -> None:
    for wrong in ("-1", "five", "NaN"):
        with pytest.raises(AmountRefused):
            alert(books, wrong)
    with pytest.raises(NotFound):
        books.alert(5, 9)


def test_a_dry_run_records_and_sends_nothing(books: Books, receiver: Receiver) -> None:
    position = books.position
    told = alert(books, "5", receiver.url + SECRET, dry_run=True)
    assert [(a["kind"], a["targets"]) for a in told["alerts"]] == [("discrepancy", [label(receiver.url + SECRET)])]
    assert (books.position, receiver.attempts) == (position, 0)


# -- delivery -------------------------------------------------------------------------------------------------------


def test_an_alert_reaches_a_webhook_as_json(books: Books, receiver: Receiver) -> None:
    (found,) = alert(books, "5", receiver.url + SECRET)["alerts"]
    assert [(d["delivered"], d["attempts"]) for d in found["deliveries"]] == [(True, 1)]
    assert receiver.received == [
        {
            "title": "Mecris WARNING: discrepancy of cycle 1",
            "message": found["message"],
            "cycle_id": 1,
            "alert": 1,
            "kind": "discrepancy",
            "level": "WARNING",
            "threshold_percent": 5,
            "discrepancy_percent": 10,
            "grade": "FAIR",
        }
    ]
    assert receiver.paths == ["/hook/" + SECRET]
    assert logged(books) == [("alert-raised", 1), ("alert-delivered", 1)]


def test_no_secret_reaches_the_log(books: Books, receiver: Receiver, tmp_path: Path) -> None:
    receiver.answers("error")
    host = receiver.url.removeprefix("http://").partition("/")[0]
    alert(books, "5", f"http://ada:{SECRET}@{host}/{SECRET}?{SECRET}")
    assert logged(books) == [("alert-raised", 1), ("alert-failed", 1)]
    (target,) = (e["target"] for e in books.log() if e["event"] == "alert-failed.v1")
    assert target.startswith(f"http://{host} #")
    books.close()
    assert b"s3cr3t" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_within_the_cool_down_nobody_is_told_again_and_the_log_says_so_once(
    books: Books, receiver: Receiver, clock: Clock
) -> None:
    alert(books, "5", receiver.url)
    for _ in range(3):
        clock.move(hours=1)
        (found,) = alert(books, "5", receiver.url)["alerts"]
        assert (found["raised"], found["deliveries"], found["suppressed_until"][:13]) == (False, [], "2025-09-10T15")
    assert len(receiver.received) == 1
    assert logged(books) == [("alert-raised", 1), ("alert-delivered", 1), ("alert-suppressed", 1)]
    clock.set("2025-09-10T15:01:00Z")
    assert alert(books, "5", receiver.url)["alerts"][0]["alert"] == 2
    assert len(receiver.received) == 2


def test_escalation_passes_at_once_and_has_a_shorter_cool_down(books: Books, receiver: Receiver, clock: Clock) -> None:
    def heard() -> list[str]:
        return [r["level"] for r in receiver.received if r["kind"] == "discrepancy"]

    alert(books, "5", receiver.url)
    say(books, "10", "30")
    levels = [a["level"] for a in alert(books, "5", receiver.url)["alerts"] if a["kind"] == "discrepancy"]
    assert levels == ["CRITICAL"]
    assert heard() == ["WARNING", "CRITICAL"]
    clock.move(hours=1, minutes=59)
    alert(books, "5", receiver.url)
    assert len(heard()) == 2
    clock.move(minutes=2)
    alert(books, "5", receiver.url)
    assert heard() == ["WARNING", "CRITICAL", "CRITICAL"]


def test_a_failed_delivery_is_tried_again_and_does_not_consume_the_cool_down(
    books: Books, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers("error")
    (found,) = alert(books, "5", receiver.url)["alerts"]
    assert [(d["delivered"], d["attempts"], d["error"]) for d in found["deliveries"]] == [(False, 3, "HTTP 500")]
    clock.move(seconds=30)
    (found,) = alert(books, "5", receiver.url)["alerts"]
    assert [w["target"] for w in found["waiting"]] == [label(receiver.url)]
    assert receiver.attempts == 3, "it waits a minute"
    clock.move(seconds=40)
    alert(books, "5", receiver.url)
    assert receiver.attempts == 6
    clock.move(seconds=90)
    alert(books, "5", receiver.url)
    assert receiver.attempts == 6, "then two"
    clock.move(seconds=40)
    receiver.answers("ok")
    (found,) = alert(books, "5", receiver.url)["alerts"]
    assert (found["alert"], found["deliveries"][0]["delivered"]) == (1, True)
    assert logged(books) == [
        ("alert-raised", 1),
        ("alert-failed", 1),
        ("alert-failed", 1),
        ("alert-delivered", 1),
    ]
    clock.move(hours=5, minutes=58)
    assert alert(books, "5", receiver.url)["alerts"][0]["raised"] is False, "the cool-down began with the delivery"


def test_pauses_grow_up_to_an_hour(books: Books, receiver: Receiver, clock: Clock) -> None:
    receiver.answers("gone")
    pauses = []
    for _ in range(9):
        (found,) = alert(books, "5", receiver.url)["alerts"]
        if found["deliveries"]:
            until = found["deliveries"][0]["retry_at"]
            pauses.append(until)
            clock.set(until)
    minutes = [e for e in books.log() if e["event"] == "alert-failed.v1"]
    waited = [(Clock(e["retry_at"]).now - Clock(e["recorded_at"]).now).total_seconds() / 60 for e in minutes]
    assert waited[:8] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_only_who_was_not_reached_is_tried_again(books: Books, receiver: Receiver, clock: Clock) -> None:
    with receiving() as other:
        other.answers("error")
        alert(books, "5", receiver.url, other.url)
        other.answers("ok")
        clock.move(minutes=2)
        alert(books, "5", receiver.url, other.url)
        assert (len(receiver.received), len(other.received)) == (1, 1)


def test_somebody_who_is_to_hear_of_it_later_hears_of_it(books: Books, receiver: Receiver) -> None:
    alert(books, "5")
    (found,) = alert(books, "5", receiver.url)["alerts"]
    assert (found["raised"], found["alert"], len(receiver.received)) == (False, 1, 1)


def test_an_alert_whose_raiser_died_is_delivered_by_the_next_one(
    books: Books, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mecris.books.alerting.deliver", dies)
        with pytest.raises(KeyboardInterrupt):
            alert(books, "5", receiver.url)
    (found,) = alert(books, "5", receiver.url)["alerts"]
    assert (found["deliveries"], len(found["waiting"])) == ([], 1), "it may still be on its way"
    clock.move(minutes=3)
    alert(books, "5", receiver.url)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("ways", "attempts", "error"),
    [
        (["ok"], 1, None),
        (["created"], 1, None),
        (["error", "ok"], 2, None),
        (["busy", "busy", "ok"], 3, None),
        (["error"], 3, "HTTP 500"),
        (["gone"], 1, "HTTP 410"),
        (["moved"], 3, "HTTP 302"),
        (["hang", "ok"], 2, None),
        (["drip", "ok"], 2, None),
        (["hang"], 3, "no answer"),
    ],
)
def test_a_webhook_is_tried_a_few_times_within_bounds(
    receiver: Receiver, ways: list[str], attempts: int, error: str | None
) -> None:
    receiver.answers(*ways)
    (target,) = targets([receiver.url])
    outcome = deliver(target, Notice("t", "m", "WARNING", "{}"), QUICK)
    assert outcome.attempts == attempts == receiver.attempts
    assert error in outcome.error if error and outcome.error else outcome.error == error


def test_nobody_there_is_told_as_that() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (target,) = targets([f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"])
        outcome = deliver(target, Notice("t", "m", "WARNING", "{}"), QUICK)
    assert (outcome.attempts, outcome.error) == (3, "Connection refused")


def test_other_services_are_reached_through_apprise(books: Books, receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "json://")
    (found,) = alert(books, "5", url)["alerts"]
    assert [(d["target"], d["delivered"]) for d in found["deliveries"]] == [(label(url), True)]
    assert receiver.received[0]["message"] == found["message"]
    assert receiver.received[0]["title"] == "Mecris WARNING: discrepancy of cycle 1"


def test_a_service_that_refuses_is_a_failed_delivery(books: Books, receiver: Receiver) -> None:
    receiver.answers("error")
    (found,) = alert(books, "5", receiver.url.replace("http://", "json://"))["alerts"]
    assert [(d["delivered"], d["error"]) for d in found["deliveries"]] == [(False, "the service did not take it")]


@pytest.mark.parametrize("url", ["nowhere", "http://", "http:///path", "://x", "", "sl ack", "http://[::1"])
def test_what_is_no_url_is_refused_before_anything_is_recorded(books: Books, url: str) -> None:
    position = books.position
    with pytest.raises(RuleRefused, match="notification 1 is not a URL"):
        alert(books, "5", url)
    with pytest.raises(RuleRefused, match="no service that Apprise knows"):
        alert(books, "5", f"nosuchservice://{SECRET}")
    assert books.position == position


def test_without_apprise_it_is_said_what_to_install(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "apprise":
            raise ImportError(name)
        return there(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(Unavailable, match=r"pip install 'mecris\[alerts\]'"):
        alert(books, "5", "slack://a/b/c")


def test_labels_hold_no_secret_and_tell_targets_apart() -> None:
    urls = [f"https://u:{SECRET}@example.org:8443/{SECRET}", f"slack://{SECRET}/x", f"slack://{SECRET}/y"]
    labels = [t.label for t in targets(urls)]
    assert [label.partition(" #")[0] for label in labels] == ["https://example.org:8443", "slack", "slack"]
    assert len(set(labels)) == 3
    assert [t.label for t in targets(urls[::-1])] == labels[::-1], "whatever their order"
    assert "s3cr3t" not in "".join(labels)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mailto://ada:{}@example.org?to=x", "mailto://ada:other@example.org?to=x"),
        ("https://ada:{}@example.org/hook", "https://ada:other@example.org/hook"),
        ("json://example.org/?password={}", "json://example.org/?password=other"),
    ],
)
def test_another_password_is_no_other_target_and_cannot_be_guessed_by_its_label(one: str, other: str) -> None:
    assert len(targets([one.format("s3cr3t"), other])) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a", "https://example.org/b"),
        ("mailto://ada:x@example.org?to=x", "mailto://ada:x@example.org?to=y"),
        ("mailto://ada:x@example.org", "mailto://eve:x@example.org"),
    ],
)
def test_another_address_of_the_same_host_is_another_target(one: str, other: str) -> None:
    assert len({t.label for t in targets([one, other])}) == 2


def test_user_and_password_go_to_a_webhook_as_credentials(books: Books, receiver: Receiver) -> None:
    alert(books, "5", receiver.url.replace("http://", "http://ada:p%40ss@"))
    assert receiver.credentials == ["Basic YWRhOnBAc3M="]


def test_another_url_of_a_host_that_was_told_is_told_too(books: Books, receiver: Receiver) -> None:
    alert(books, "5", receiver.url + "a")
    alert(books, "5", receiver.url + "b")
    assert receiver.paths == ["/hook/a", "/hook/b"]


# -- clocks, and more than fits -------------------------------------------------------------------------------------


def test_a_clock_that_was_ahead_once_silences_nobody(books: Books, receiver: Receiver, clock: Clock) -> None:
    clock.set("2026-09-10T09:00:00Z")
    books.handle(c.ChangeThresholds(cycle_id=1, excellent=1, good=2, fair=3))
    clock.set("2025-09-10T10:00:00Z")
    alert(books, "5", receiver.url)
    clock.move(hours=1)
    alert(books, "5", receiver.url)
    assert len(receiver.received) == 1, "the cool-down is that of the clock"
    clock.move(hours=6)
    alert(books, "5", receiver.url)
    assert len(receiver.received) == 2


def test_what_a_clock_far_ahead_raised_holds_nobody_up(books: Books, receiver: Receiver, clock: Clock) -> None:
    clock.set("2026-09-10T09:00:00Z")
    alert(books, "5", receiver.url)
    clock.set("2025-09-10T10:00:00Z")
    found = {a["kind"]: a for a in alert(books, "5", receiver.url)["alerts"]}
    assert found["discrepancy"]["raised"] is True


def test_a_failure_under_a_clock_far_ahead_is_retried(books: Books, receiver: Receiver, clock: Clock) -> None:
    alert(books, "5")
    receiver.answers("error")
    clock.set("2025-09-10T14:59:00Z")
    alert(books, "5", receiver.url)
    clock.set("2025-09-10T09:10:00Z")
    receiver.answers("ok")
    alert(books, "5", receiver.url)
    assert len(receiver.received) == 1


def test_many_reasons_are_one_message_of_bearable_length(books: Books) -> None:
    for n in range(60):
        source = c.RecordSource(
            cycle_id=1,
            source=f"meter {n}",
            type="realtime",
            provider="a provider of a long name " * 4 + str(n),
            amount=1,
        )
        books.handle(source)
    found = {a["kind"]: a for a in alert(books)["alerts"]}
    assert found["health"]["message"].endswith("; and 56 more (mecris budget status)")


# -- the settings and the command line --------------------------------------------------------------------------------


def test_limits_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Books.open(tmp_path / "a.db") as books:
        assert books.limits == Limits()
    monkeypatch.setenv("MECRIS_STALE_DAYS", "3")
    monkeypatch.setenv("MECRIS_WARNING_COOL_DOWN_HOURS", "0.5")
    with Books.open(tmp_path / "a.db") as books:
        assert books.limits == Limits(stale_days=Decimal(3), warning_cool_down_hours=Decimal("0.5"))
    for wrong in ("soon", "-1"):
        monkeypatch.setenv("MECRIS_STALE_DAYS", wrong)
        with pytest.raises(AmountRefused, match="MECRIS_STALE_DAYS"):
            Books.open(tmp_path / "a.db")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ATTEMPTS", "0"), ("ATTEMPTS", "2.5"), ("ATTEMPTS", "6"), ("TIMEOUT_SECONDS", "0"), ("TIMEOUT_SECONDS", "21")],
)
def test_patience_is_bounded(books: Books, monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"MECRIS_DELIVERY_{variable}", value)
    with pytest.raises(AmountRefused, match=f"MECRIS_DELIVERY_{variable} is {value}"):
        books.alert("5", 1)
    monkeypatch.setenv("MECRIS_DELIVERY_ATTEMPTS", "1")
    monkeypatch.setenv("MECRIS_DELIVERY_TIMEOUT_SECONDS", "2")
    assert settings.patience() == Patience(attempts=1, timeout=2)


def test_an_alert_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def m(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["--books", str(tmp_path / "books.db"), "budget", *words])
        return code, *capsys.readouterr()

    m("cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "100")
    for kind, name, amount in (("realtime", "meter", "9"), ("manual", "console", "10")):
        words = ["--cycle", "1", "--name", name, "--type", kind, "--amount", amount, "--measured-at", "2025-09-30"]
        m("add-source", *words)
    assert m("alert", "--threshold", "10", "--cycle", "1") == (
        FINE,
        "cycle 1: FAIR, 10 % apart (threshold 10 %); health GOOD\n",
        "",
    )
    monkeypatch.setenv("MECRIS_NOTIFY", receiver.url)
    code, out, err = m("alert", "--threshold", "5", "--cycle", "1")
    assert (code, out) == (OVER, "cycle 1: FAIR, 10 % apart (threshold 5 %); health GOOD\n")
    assert err == (
        "warning: WARNING, cycle 1: $1.00 apart (10 %), over the threshold of 5 %; see mecris budget discrepancies --cycle 1\n"
        f"  raised as alert 1\n  delivered to {label(receiver.url)} (1 attempt)\n"
    )
    code, out, err = m("alert", "--threshold", "5", "--cycle", "1", "--json")
    assert (code, json.loads(out)["alerts"][0]["raised"]) == (OVER, False)
    assert "told before as alert 1; not again until " in err
    assert m("alert", "--threshold", "-5", "--cycle", "1")[0] == REFUSED
    assert m("alert", "--cycle", "1")[0] == 2
