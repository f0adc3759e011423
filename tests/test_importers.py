"""Each format has samples beside their expected reading: recognised by one importer alone, and read to the last digit."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mecris.domain.period import text_of
from mecris.importers.batches import stored
from mecris.importers.formats import FORMATS, recognised
from mecris.importers.kinds import Item
from mecris.importers.reading import File

pytestmark = pytest.mark.own_store  # these need no store, so they run once

SAMPLES = Path(__file__).parent / "samples"
FILES = sorted(path for path in SAMPLES.glob("*/*") if not path.name.endswith(".expected.json"))


def told(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Items as an expectation is written: what is at its default is left out."""
    return [
        {"item": type(item).__name__}
        | {
            n: _plain(v)
            for n, v in item._asdict().items()
            if n not in item._field_defaults or v != item._field_defaults[n]
        }
        for item in items
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return f"{value:f}" if isinstance(value, Decimal) else value


def test_every_format_has_a_sample() -> None:
    assert {path.parent.name for path in FILES} == set(FORMATS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_sample_is_recognised_by_its_importer_alone_and_read_as_expected(path: Path) -> None:
    expected = json.loads(path.with_name(f"{path.name}.expected.json").read_text())
    with path.open("rb") as stream:
        file = File(path.name, stream)
        assert [importer.NAME for importer in recognised(file)] == [path.parent.name]
        importer = FORMATS[path.parent.name]
        found = {"report": importer.report(file)._asdict(), "items": told(importer.read(file))}
    assert found == expected


_ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=30)), ZoneInfo("UTC")])


@given(st.datetimes(timezones=_ZONES).filter(lambda moment: 1 < moment.year < 9999))
@example(datetime(2026, 9, 1, tzinfo=UTC))
@example(datetime(2026, 9, 1, microsecond=120, tzinfo=UTC))
def test_a_moment_is_stored_as_everywhere(moment: datetime) -> None:
    assert stored(moment) == text_of(moment)
