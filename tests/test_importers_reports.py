"""What a sample of a report cannot show: digits beyond a float's, reports that say nothing, and pages that are broken."""

import io
import json
from decimal import Decimal, localcontext

import pytest

from mecris.domain.errors import PayloadRefused
from mecris.importers.formats import FORMATS, recognised
from mecris.importers.kinds import Call, Charge, Unreadable
from mecris.importers.pages import read_pages
from mecris.importers.reading import LONGEST_LINE, File, dollars

pytestmark = pytest.mark.own_store  # these need no store, so they run once


def file_of(*documents: object) -> File:
    """JSON documents, one a line."""
    return File.of("\n".join(map(json.dumps, documents)).encode())


def test_zero_is_zero_however_it_is_written() -> None:
    assert f"{dollars('0E-6176', 'amount'):f}" == "0"


def test_cents_become_dollars_with_all_their_digits() -> None:
    digits = "1234567890.12345678901234567890123456789012345"
    with localcontext(prec=3):
        assert str(dollars(digits, "amount", cents=True)) == "12345678.9012345678901234567890123456789012345"


@pytest.mark.parametrize("cents", [True, False])
def test_more_digits_than_can_be_summed_exactly_are_refused(*, cents: bool) -> None:
    with pytest.raises(PayloadRefused, match="amount has 150 digits: too many for an amount"):
        dollars("0." + "1" * 150, "amount", cents=cents)


@pytest.mark.parametrize("name", ["anthropic-cost", "anthropic-usage", "openai-costs", "openai-usage"])
def test_pages_without_results_are_no_report_that_could_be_told(name: str) -> None:
    empty = file_of({"data": [{"starting_at": "2025-08-01T00:00:00Z", "start_time": 1, "results": []}]})
    assert not FORMATS[name].recognises(empty)


def test_a_line_that_is_no_page_is_set_aside_and_the_pages_are_read() -> None:
    page = {"data": [], "has_more": False}
    assert read_pages(file_of(page, page)) == ([page, page], [])
    for broken in (
        file_of(page, {"data": 1}),
        File.of(b'{"data": []}\n{"data": ['),
        File.of(b'{"data": []}\n"\xff"\n'),
    ):
        (_, *more), (unreadable, remark) = read_pages(broken)
        assert (more, unreadable.line, remark.incomplete) == ([], 2, True)
    with pytest.raises(PayloadRefused):
        read_pages(file_of({"data": 1}))


def test_a_report_in_pages_is_the_same_as_the_pages_one_by_one() -> None:
    pages = [
        {
            "data": [
                {
                    "start_time": 86400 * day,
                    "end_time": 86400 * (day + 1),
                    "results": [
                        {
                            "object": "organization.costs.result",
                            "amount": {"value": "0.1", "currency": "usd"},
                            "line_item": item,
                        }
                        for item in "aab"
                    ],
                }
            ],
            "has_more": day < 2,
        }
        for day in range(3)
    ]
    read = FORMATS["openai-costs"].read
    together = [item for item in read(file_of(*pages)) if isinstance(item, Charge)]
    apart = [item for page in pages for item in read(file_of(page)) if isinstance(item, Charge)]
    assert together == apart
    assert len({charge.key for charge in together}) == 9
    assert sum(charge.usd for charge in together) == Decimal("0.9")


def test_usage_and_costs_of_one_provider_are_told_apart() -> None:
    bucket = {"starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z"}
    usage = {"data": [bucket | {"results": [{"uncached_input_tokens": 1, "output_tokens": 2}]}]}
    cost = {"data": [bucket | {"results": [{"amount": "1", "currency": "USD"}]}]}
    assert [i.NAME for i in recognised(file_of(usage))] == ["anthropic-usage"]
    assert [i.NAME for i in recognised(file_of(cost))] == ["anthropic-cost"]
    (call,) = (item for item in FORMATS["anthropic-usage"].read(file_of(usage)) if isinstance(item, Call))
    assert (call.input_tokens, call.output_tokens) == (1, 2)


def test_a_large_file_of_something_else_is_not_read_to_its_end() -> None:
    class Watched(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            self.given += len(found)
            return found

        def readline(self, size: int | None = -1, /) -> bytes:
            found = super().readline(size)
            self.given += len(found)
            return found

    content = Watched(b'{"type": "other"}\n' * 1_000_000)
    assert recognised(File("large.jsonl", content)) == []
    assert 0 < content.given < 1 << 20


def test_answers_after_a_broken_first_line_count() -> None:
    answer = {"id": "msg_1", "type": "message", "created_at": 1, "usage": {"input_tokens": 1, "output_tokens": 2}}
    file = File.of(b'{"id": "msg_0", "type": "mess\n' + json.dumps(answer).encode())
    assert [i.NAME for i in recognised(file)] == ["anthropic-messages"]
    broken, call = FORMATS["anthropic-messages"].read(file)
    assert broken == Unreadable(1, "the line is not JSON")
    assert isinstance(call, Call)
    assert (call.key, call.input_tokens, call.output_tokens) == ("msg_1", 1, 2)


def test_an_answer_in_a_line_too_long_to_read_is_told() -> None:
    answer = {"id": "msg_1", "type": "message", "created_at": 1, "usage": {"input_tokens": 1, "output_tokens": 2}}
    long = answer | {"content": "x" * LONGEST_LINE}
    call, told = FORMATS["anthropic-messages"].read(file_of(answer, long))
    assert isinstance(call, Call)
    assert told == Unreadable(2, "the line is longer than 4 MiB")


def test_thinking_is_part_of_the_output_and_never_added() -> None:
    usage = {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 8}}
    (call,) = FORMATS["anthropic-messages"].read(
        file_of({"id": "msg_1", "type": "message", "created_at": 1, "usage": usage})
    )
    assert isinstance(call, Call)
    assert call.output_tokens == 9


def test_a_file_with_nothing_in_it_is_of_no_format() -> None:
    for content in (b"", b"\n\n", b"[]", b"{}", b"null", b"data:", b"data: [DONE]\n"):
        assert recognised(File.of(content)) == []


def test_a_cost_report_with_a_broken_bucket_still_counts_the_rest() -> None:
    bucket = {"starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z"}
    lines = [{"amount": "1", "currency": "USD", "a_new_dimension": name} for name in ("left", "right")]
    file = file_of({"data": [None, {"results": None}, bucket | {"results": lines}]})
    assert [i.NAME for i in recognised(file)] == ["anthropic-cost"]
    items = list(FORMATS["anthropic-cost"].read(file))
    assert [item.line for item in items if isinstance(item, Unreadable)] == [1, 2]
    charges = {item.key: item.usd for item in items if isinstance(item, Charge)}
    assert list(charges.values()) == [Decimal("0.01"), Decimal("0.01")]
