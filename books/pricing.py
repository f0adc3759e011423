"""What calls cost by list price: an estimate, dated by when each call was made, with the version of the prices."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from ..domain.errors import Unavailable
from ..domain.money import EXACT

PROVIDERS = {"claude": "anthropic", "groq": "groq", "openai": "openai"}
"""Our names of providers, and those of the price list."""
MILLION = 1_000_000
TIERED = 128_000
"""Tokens of input from which some models cost more for each: then the whole call is asked for."""


class Prices:
    """The price list of `genai-prices`; asks once for each model and day."""

    def __init__(self) -> None:
        try:
            import genai_prices
        except ImportError:
            raise Unavailable("genai-prices is not installed: pip install 'mecris[import]'") from None
        self._list = genai_prices
        self.version = f"genai-prices {version('genai-prices')}"
        self._rates = lru_cache(10_000)(self._rates_of)

    def of(self, provider: str, model: str | None, at: datetime, tokens: tuple[int, int, int, int]) -> Decimal | None:
        """US dollars of a call, exact; None if the model has no price. `tokens`: input, output, cache read, cache write."""
        if not any(tokens):
            return Decimal(0)
        if model is None:
            return None
        if tokens[0] + tokens[2] + tokens[3] > TIERED:
            return self._asked(provider, model, at, tokens)
        rates = self._rates(provider, model, at.date())
        if rates is None:
            return None
        each = (EXACT.multiply(rate, Decimal(count)) for rate, count in zip(rates, tokens, strict=True))
        return sum(each, Decimal(0)) / MILLION

    def _rates_of(self, provider: str, model: str, day: date) -> tuple[Decimal, ...] | None:
        """US dollars of a million tokens of each class, from the price of a thousand: where no tier begins."""
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        found = [self._asked(provider, model, at, tuple(1000 * (n == place) for n in range(4))) for place in range(4)]
        return (
            None if None in found else tuple(EXACT.multiply(rate, Decimal(1000)) for rate in found if rate is not None)
        )

    def _asked(self, provider: str, model: str, at: datetime, tokens: Any) -> Decimal | None:
        input, output, read, written = tokens
        usage = self._list.Usage(
            input_tokens=input + read + written,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )
        try:
            price = self._list.calc_price(
                usage, model_ref=model, provider_id=PROVIDERS.get(provider), genai_request_timestamp=at
            )
        except LookupError:
            return None
        return Decimal(price.total_price)
