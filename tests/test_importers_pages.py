"""What no sample can show: pages made to hurt, large ones, and files that are refused as a whole."""

import json
from decimal import Decimal
from time import process_time

import pytest

from mecris.domain.errors import PayloadRefused
from mecris.domain.payload import LIMIT, amounts_in, read_payload
from mecris.importers import dashboard, openrouter_activity, openrouter_credits, plain_csv
from mecris.importers.formats import recognised
from mecris.importers.kinds import Item, Look, Unreadable
from mecris.importers.reading import File

pytestmark = pytest.mark.own_store  # these need no store, so they run once

LARGE, LARGEST = 1 << 20, 5 << 20
SECONDS = 20
"""More than ten times what the slowest page takes; what is quadratic takes far longer."""


def items_of(page: str | bytes) -> list[Item]:
    """What a page says, after it was recognised as one."""
    file = File.of(page if isinstance(page, bytes) else page.encode())
    assert recognised(file) == [dashboard]
    return list(dashboard.read(file))


def look_of(page: str) -> Look:
    (look,) = items_of(page)
    assert isinstance(look, Look), look
    assert len(look.payload.encode()) <= LIMIT
    assert read_payload(look.payload).amounts == ((look.amount if look.balance is None else look.balance),)
    return look


def refusal_of(page: str | bytes) -> str:
    (unreadable,) = items_of(page)
    assert isinstance(unreadable, Unreadable), unreadable
    assert unreadable.line == 1
    return unreadable.reason


FIGURE = "<p>Spent: $5.42 USD</p>"
HOSTILE = {
    "text": "<p>some words and 17 figures</p>",
    "one line": "<b>a</b> <i>b</i> 1.",
    "open tags": "<div>",
    "closed tags": "</div>",
    "tags within tags": "<a <a <a ",
    "open comments": "<!--",
    "comments": "<!-- $1 USD -->",
    "declarations": "<![CDATA[ <!x ",
    "scripts": "<script>var a = '$1 USD'</script>",
    "ends of scripts": "</script ",
    "a script of ends": "<script></scrip </style ",
    "quotes": "<a href=\"'><b title='\">",
    "entities": "&lol9;&amp;&#36;&#x24",
    "brackets": "< > <1 <<",
    "dollars": "$ $US USD US$ ",
    "digits": "1.1,",
    "raised": "<sup>1</sup>.<sub>",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_large_page_is_read_in_time_however_it_is_written(kind: str) -> None:
    filling = HOSTILE[kind] * (LARGE // len(HOSTILE[kind]))
    for page in (f"<html>{FIGURE}{filling}", f"<html>{filling}{FIGURE}</html>"):
        began = process_time()
        (item,) = items_of(page)
        assert process_time() - began < SECONDS
        assert isinstance(item, Look | Unreadable)


@pytest.mark.parametrize("kind", ["text", "comments", "scripts"])
def test_the_figure_of_a_large_page_is_found_with_what_stands_beside_it(kind: str) -> None:
    filling = HOSTILE[kind] * (LARGEST // len(HOSTILE[kind]))
    look = look_of(f"<html>{filling}<div>{FIGURE}<h2>October</h2></div>{filling}")
    assert look.amount == Decimal("5.42")
    assert "Spent: $5.42 USD</p>" in look.payload


def test_a_figure_in_a_block_that_is_too_large_to_keep_is_not_taken() -> None:
    assert "larger than 64 KiB" in refusal_of(f"<html>$5.42 USD {'words ' * LIMIT}</html>")


def test_tags_may_be_unbalanced_crossed_and_never_closed() -> None:
    assert look_of("<html></p></div><b><p>Spent <i>$5.42</b> USD</i><td><div").amount == Decimal("5.42")
    assert look_of("<html>Spent $5.42 USD").amount == Decimal("5.42")


def test_entities_are_characters_and_nothing_is_defined_by_a_page() -> None:
    laughs = "".join(f'<!ENTITY lol{n + 1} "{f"&lol{n};" * 10}">' for n in range(9))
    page = f"<!DOCTYPE html [{laughs}]><html><p>&lol9; Spent &dollar;5&period;42&nbsp;USD</p></html>"
    assert look_of(page).amount == Decimal("5.42")


def test_a_character_of_absurd_number_is_no_character() -> None:
    assert look_of(f"<html><p>&#{'9' * 5000};{FIGURE}</html>").amount == Decimal("5.42")
    assert amounts_in(f"&#{'9' * 5000};<p>$1 USD") == [Decimal(1)]


def test_a_comment_between_the_parts_of_a_tag_hides_nothing() -> None:
    assert "several amounts ($5.42, $6.00)" in refusal_of(f"<html>{FIGURE}<<!-- -->script><p>$6 USD</p>")
    assert "several amounts ($5.42, $6.00)" in refusal_of(f"<html>{FIGURE}<!--><p>$6 USD</p><!-- -->")


def test_a_page_with_many_amounts_names_some() -> None:
    page = "<html>" + "".join(f"<p>${n} USD</p>" for n in range(1, 9))
    assert "($1.00, $2.00, $3.00, $4.00, $5.00 and 3 more)" in refusal_of(page)


def test_what_is_no_text_is_refused() -> None:
    assert "NUL bytes" in refusal_of(f"<html>{FIGURE}\0</html>".encode())
    assert "not valid UTF-8" in refusal_of(f"<html>{FIGURE}".encode() + b"\xff")


@pytest.mark.parametrize("text", ["", "no page", '{"display_html": 1', "a < b <p>", "<?xml version='1.0'?><bill/>"])
def test_what_does_not_begin_as_a_page_is_none(text: str) -> None:
    assert recognised(File.of(text.encode())) == []


@pytest.mark.parametrize("column", ["provider", "account", "source"])
def test_a_csv_of_several_sources_is_to_be_split(column: str) -> None:
    file = File.of(f"date,usd,{column}\n2025-09-01,1,a\n2025-09-02,1,\n2025-09-03,1\n2025-09-04,1,b\n".encode())
    assert recognised(file) == [plain_csv]
    with pytest.raises(PayloadRefused, match=rf"more than one {column} \('a', 'b'\): split it"):
        plain_csv.report(file)


def test_a_csv_of_another_type_is_refused() -> None:
    with pytest.raises(PayloadRefused, match="type 'invoice' is unknown: write manual or realtime"):
        plain_csv.report(File.of(b"date,usd,type\n2025-09-01,1,invoice\n"))


@pytest.mark.parametrize(
    "head", [b"", b"\n\n", b"\xff\xfe", b"date,amount\n", b"usd,usd,date\n", b"usd,start\n", b'"usd,date\n']
)
def test_what_has_no_header_of_ours_is_no_csv_of_ours(head: bytes) -> None:
    file = File.of(head + b"2025-09-01,1\n")
    assert recognised(file) == []
    with pytest.raises(PayloadRefused):
        list(plain_csv.read(file))


def test_a_csv_of_many_rows_is_read_row_by_row() -> None:
    rows = b"".join(b"2025-09-01,0.1,%d\n" % n for n in range(50_000))
    assert sum(1 for _ in plain_csv.read(File.of(b"date,usd,id\n" + rows))) == 50_000


def test_a_program_s_decimal_context_changes_no_sum() -> None:
    from decimal import localcontext

    answer = File.of(b'{"data":{"total_credits":100.123456789,"total_usage":25.75}}')
    items = [
        {
            "date": "2025-09-01",
            "usage": 1,
            "endpoint_id": "e",
            "model_permaslug": "m",
            "byok_usage_inference": "1.23456",
        }
    ]
    with localcontext() as context:
        context.prec = 3
        assert next(openrouter_credits.read(answer)).balance == Decimal("74.373456789")  # type: ignore[union-attr]
        read = list(openrouter_activity.read(File.of(json.dumps({"data": items}).encode())))
    assert "1.23456 dollars" in read[-1].text  # type: ignore[union-attr]
