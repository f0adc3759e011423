"""Tokens: made once, kept as digests, and closed to whoever has none that opens."""

import re
import shutil
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from clocks import Clock

from mecris.books import Books
from mecris.domain.errors import MecrisError, NotFound, RuleRefused, TimeRefused, Unauthenticated

NOON = "2025-09-10T12:00:00Z"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Books:
    return Books.open(tmp_path / "books.db", recorded_by="ada", clock=clock)


def refusal(books: Books, secret: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        books.admit(secret)
    return refused.value.code


def test_a_token_opens_what_its_scope_includes(books: Books) -> None:
    allows = {}
    for scope in ("read", "write", "admin"):
        token = books.admit(books.create_token(scope, scope)["token"])
        allows[token.name] = [wanted for wanted in ("read", "write", "admin") if token.allows(wanted)]
    assert allows == {"read": ["read"], "write": ["read", "write"], "admin": ["read", "write", "admin"]}


@pytest.mark.sqlite
def test_the_books_hold_a_digest_and_the_secret_nowhere(books: Books) -> None:
    token = books.create_token("ci", "write")["token"]
    found = re.fullmatch(r"mecris_[0-9a-f]{16}_([A-Za-z0-9_-]{43})", token)
    assert found
    secret = found[1]
    created = next(e for e in books.log() if e["event"] == "token-created.v1")
    assert created["digest"] == sha256(secret.encode()).hexdigest()
    books.close()
    whole = b"".join(f.read_bytes() for f in Path(books.file.where).parent.iterdir())
    assert secret.encode() not in whole
    assert created["digest"].encode() in whole


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: "",
        lambda t: "mecris_",
        lambda t: t[:-1],
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t.upper(),
        lambda t: t + "A",
        lambda t: f"mecris_{'0' * 16}_{t[24:]}",
        lambda t: t.replace("mecris", "mecrls"),
    ],
)
def test_what_is_not_the_whole_token_is_unknown(books: Books, spoil) -> None:  # type: ignore[no-untyped-def]
    token = books.create_token("ci", "write")["token"]
    assert refusal(books, spoil(token)) == "token-unknown"
    assert books.admit(token).name == "ci"


def test_a_revoked_token_opens_nothing_in_any_process_from_then_on(books: Books, tmp_path: Path) -> None:
    token = books.create_token("ci", "write")["token"]
    with Books.open(tmp_path / "books.db") as elsewhere:
        known = elsewhere.admit(token)
        books.revoke_token("ci", reason="lost")
        assert refusal(elsewhere, token) == "token-revoked"
        assert not elsewhere.still_admits(known)


def test_revoking_twice_is_revoking_once(books: Books) -> None:
    books.create_token("ci", "write")
    assert books.revoke_token("ci")["recorded"] is True
    assert books.revoke_token("ci")["recorded"] is False
    assert [e["event"] for e in books.log()] == ["token-created.v1", "token-revoked.v1"]


def test_a_token_ends_at_the_end_of_its_last_day(books: Books, clock: Clock) -> None:
    token = books.create_token("guest", "read", expires="2025-09-11")["token"]
    clock.set("2025-09-11T23:59:50Z")
    assert books.still_admits(books.admit(token))
    clock.set("2025-09-12T00:00:00Z")
    assert refusal(books, token) == "token-expired"
    assert books.tokens()[0]["state"] == "expired"


def test_a_token_that_would_have_expired_is_not_made(books: Books) -> None:
    with pytest.raises(TimeRefused):
        books.create_token("late", "read", expires="2025-09-09")
    assert books.tokens() == []


def test_the_name_of_a_token_stays_that_of_what_it_recorded(books: Books) -> None:
    books.create_token("ci", "write")
    for state in ("exists: take", "was revoked, and its name stays"):
        with pytest.raises(RuleRefused, match=state):
            books.create_token("ci", "read")
        books.revoke_token("ci")


def test_an_unknown_token_cannot_be_revoked(books: Books) -> None:
    with pytest.raises(NotFound) as refused:
        books.revoke_token("nobody")
    assert refused.value.code == "token-not-found"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201])
def test_a_token_has_a_name_that_can_be_read(books: Books, name: str) -> None:
    with pytest.raises(MecrisError):
        books.create_token(name, "read")
    assert books.tokens() == []


def test_the_last_use_is_noted_without_an_event(books: Books) -> None:
    token = books.create_token("ci", "write")["token"]
    before = books.position
    assert books.tokens()[0]["last_used_at"] is None
    books.admit(token)
    books.note_token_uses()
    assert books.tokens()[0]["last_used_at"].startswith("2025-09-10T12:0")
    assert books.position == before


def test_tokens_are_listed_as_they_were_known(books: Books) -> None:
    books.create_token("ci", "write")
    books.create_token("boss", "admin")
    books.revoke_token("ci")
    assert [(t["name"], t["state"]) for t in books.tokens()] == [("ci", "revoked"), ("boss", "valid")]
    assert [(t["name"], t["state"]) for t in books.tokens(as_of=1)] == [("ci", "valid")]
    assert books.replay().differences == 0


def test_a_noted_use_never_goes_back(books: Books, clock: Clock) -> None:
    token = books.create_token("ci", "write")["token"]
    books.admit(token)
    books.note_token_uses()
    noted = books.tokens()[0]["last_used_at"]
    clock.set("2025-09-01T00:00:00Z")
    books.admit(token)
    books.note_token_uses()
    assert books.tokens()[0]["last_used_at"] == noted


def test_sealed_books_of_the_version_before_servers_can_still_be_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copy(Path(__file__).parent / "golden" / "books" / "v1.db", tmp_path / "old.db"))
    monkeypatch.setattr("mecris.store.file.os.access", lambda *_: False)  # root may write everything
    with Books.open(copy) as books:
        assert books.verify().faults == []
        assert len(list(books.log())) == books.position
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
