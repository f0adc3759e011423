"""What calls cost by list price: an estimate, dated by when each call was made, with the version of the prices."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from math import inf
from types import ModuleType
from typing import NamedTuple

from ..domain.errors import Unavailable
from ..domain.lines import Line
from ..domain.money import EXACT
from ..domain.period import from_text
from ..domain.terms import Terms

PROVIDERS = {"claude": "anthropic", "groq": "groq", "openai": "openai"}
"""Our names of providers, and those of the price list."""
IN_A_LARGE_WINDOW = 300_000
"""Tokens of input beyond the window that costs less."""
HALF = Decimal("0.5")
"""Of a batch, by Anthropic and OpenAI alike."""
IN_THE_US = Decimal("1.1")
"""Of a call to Anthropic that is to stay there."""
STAYS = ("claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5", "claude-sonnet-4-6", "claude-sonnet-5",
         "claude-fable-5", "claude-mythos-5")  # fmt: skip
"""How models begin that can be told to stay there: the others have no such price."""
FAST = {"claude-opus-5": 2, "claude-opus-4-8": 2}
"""How many times a fast call costs what others do, by how models begin that can be called so."""
ZERO = Decimal(0)


class Rates(NamedTuple):
    """What a token of each class costs, in 1e-`places` US dollars, so that a call is priced in whole numbers."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    places: int
    tiered: float
    """Tokens of input from which one costs more: then the whole call is asked for."""

    @classmethod
    def of_a_thousand(cls, usd: Sequence[Decimal], tiered: float) -> "Rates":
        """The rates from US dollars of a thousand tokens of each class, those kept in a cache for an hour last."""
        places = 3 + max(0, *(-int(amount.as_tuple().exponent) for amount in usd))
        input, output, read, written, hour = (int(amount.scaleb(places - 3, EXACT)) for amount in usd)
        return cls(input, output, read, written, hour, places, tiered)

    def of(self, input: int, output: int, read: int, written: int, hour: int = 0) -> Decimal:
        """What tokens of each class cost, in US dollars, exactly."""
        units = (
            input * self.input
            + output * self.output
            + read * self.cache_read
            + written * self.cache_write
            + hour * self.cache_write_1h
        )
        return Decimal(units).scaleb(-self.places, EXACT)


Counts = tuple[int, int, int, int]
"""Tokens: input, output, cache read, cache write."""


class Prices:
    """The price list of `genai-prices`, read when a price is asked for; it is asked once for each model and day."""

    def __init__(self) -> None:
        try:
            self.version = f"genai-prices {version('genai-prices')}"
        except PackageNotFoundError:
            raise Unavailable("genai-prices is not installed: pip install 'mecris[import]'") from None
        self._rates = lru_cache(10_000)(self._rates_of)

    @cached_property
    def _list(self) -> ModuleType:
        import genai_prices

        return genai_prices

    def load(self) -> None:
        """Read the list now, which takes as long as a hundred thousand prices, where there is time for it."""
        _ = self._list

    def of(self, provider: str, line: Line) -> Decimal | None:
        """US dollars of a call, exact; None if that is not known of its model, or of the terms it was made on."""
        _, _, start, _, _, _, model, input, output, read, written, _, terms, _ = line
        if not (input or output or read or written):
            return ZERO
        if model is None:
            return None
        if terms:
            return self._on_terms(provider, model, line, Terms.of(terms))
        rates = self._rates(provider, model, start[:10])
        if rates is None:
            return None
        if input + read + written > rates.tiered:
            return self._asked(provider, model, from_text(start), line.tokens)
        return rates.of(input, output, read, written)

    def _on_terms(self, provider: str, model: str, line: Line, terms: Terms) -> Decimal | None:
        factor, rates = _factor(model, terms), self._rates(provider, model, line.start[:10], terms.long)
        if factor is None or rates is None:
            return None
        input, output, read, written = line.tokens
        hour, at = min(terms.hour, written), from_text(line.start)
        usd: Decimal | None = rates.of(input, output, read, written - hour, hour)
        if not terms.summed and input + read + written > rates.tiered:
            usd = self._asked(provider, model, at, line.tokens, hour)
        searches = self._searches(provider, model, at, terms.searches)
        return None if usd is None or searches is None else EXACT.add(EXACT.multiply(usd, factor), searches)

    def _searches(self, provider: str, model: str, at: datetime, count: int) -> Decimal | None:
        """What searches of the web cost, which have a price of their own."""
        return self._price_of(provider, model, at, web_searches=count) if count else ZERO

    def _rates_of(self, provider: str, model: str, day: str, long: bool = False) -> Rates | None:
        """The rates of a model on a day, from the price of a thousand tokens."""
        at = datetime.fromisoformat(f"{day}T12:00:00Z")
        filled = IN_A_LARGE_WINDOW if long else 0
        floor = self._asked(provider, model, at, (filled, 0, 0, 0)) if long else ZERO
        if floor is None:
            return None
        found = []
        for place in range(5):
            input, output, read, written, hour = (1000 * (n == place) for n in range(5))
            usd = self._asked(provider, model, at, (filled + input, output, read, written + hour), hour)
            if usd is None:
                return None
            found.append(EXACT.subtract(usd, floor))
        return Rates.of_a_thousand(found, self._first_tier(provider, model, at))

    def _first_tier(self, provider: str, model: str, at: datetime) -> float:
        """From how many tokens of input on a model costs more, by the list; infinite if it never does."""
        found = self._list.calc_price(
            self._list.Usage(input_tokens=1),
            model_ref=model,
            provider_id=PROVIDERS.get(provider),
            genai_request_timestamp=at,
        )
        tiers = [tier.start for price in vars(found.model_price).values() for tier in getattr(price, "tiers", ())]
        return min(tiers, default=inf)

    def _asked(self, provider: str, model: str, at: datetime, tokens: Counts, hour: int = 0) -> Decimal | None:
        """The price of some tokens; those written to caches are kept there for minutes, and `hour` of them for an hour."""
        input, output, read, written = tokens
        return self._price_of(
            provider,
            model,
            at,
            input_tokens=input + read + written,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
            **({"cache_write_1h_tokens": hour} if hour else {}),
        )

    def _price_of(self, provider: str, model: str, at: datetime, **usage: int) -> Decimal | None:
        try:
            price = self._list.calc_price(
                self._list.Usage(**usage),
                model_ref=model,
                provider_id=PROVIDERS.get(provider),
                genai_request_timestamp=at,
            )
        except LookupError:
            return None
        return Decimal(price.total_price)


def _factor(model: str, terms: Terms) -> Decimal | None:
    """How many times the list price a call costs; None if nobody says."""
    if terms.other is not None or (terms.us and not model.startswith(STAYS)):
        return None
    factor = EXACT.multiply(HALF if terms.batch else Decimal(1), IN_THE_US if terms.us else Decimal(1))
    if not terms.fast:
        return factor
    times = next((times for name, times in FAST.items() if model.startswith(name)), None)
    return None if times is None or terms.batch else EXACT.multiply(factor, Decimal(times))
