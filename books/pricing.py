"""What calls cost by list price: an estimate, dated by when each call was made, with the version of the prices."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from itertools import starmap

from ..domain.errors import Unavailable
from ..domain.lines import Line
from ..domain.money import EXACT
from ..domain.terms import Terms

PROVIDERS = {"claude": "anthropic", "groq": "groq", "openai": "openai"}
"""Our names of providers, and those of the price list."""
MILLION = 1_000_000
TIERED = 128_000
"""Tokens of input from which some models cost more for each: then the whole call is asked for."""
IN_A_LARGE_WINDOW = 300_000
"""Tokens of input beyond the window that costs less."""
HALF = Decimal("0.5")
"""Of a batch, by Anthropic and OpenAI alike."""
IN_THE_US = Decimal("1.1")
"""Of a call to Anthropic that is to stay there."""
FAST = {"claude-opus-5": 2, "claude-opus-4-8": 2}
"""How many times a fast call costs what others do, by how models begin that can be called so."""
ZERO = Decimal(0)
Counts = tuple[int, int, int, int]
"""Tokens: input, output, cache read, cache write."""


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

    def of(self, provider: str, line: Line) -> Decimal | None:
        """US dollars of a call, exact; None if that is not known of its model, or of the terms it was made on."""
        tokens, model = line.tokens, line.model
        if not any(tokens):
            return ZERO
        if model is None:
            return None
        if line.terms:
            return self._on_terms(provider, model, line, Terms.of(line.terms))
        if tokens[0] + tokens[2] + tokens[3] > TIERED:
            return self._asked(provider, model, line.start, tokens)
        return _total(self._rates(provider, model, line.start.date()), (*tokens, 0))

    def _on_terms(self, provider: str, model: str, line: Line, terms: Terms) -> Decimal | None:
        factor = _factor(model, terms)
        if factor is None:
            return None
        input, output, read, written = line.tokens
        hour = min(terms.hour, written)
        if terms.summed or input + read + written <= TIERED:
            rates = self._rates(provider, model, line.start.date(), terms.long)
            usd = _total(rates, (input, output, read, written - hour, hour))
        else:
            usd = self._asked(provider, model, line.start, line.tokens, hour)
        return None if usd is None else EXACT.multiply(usd, factor)

    def _rates_of(self, provider: str, model: str, day: date, long: bool = False) -> tuple[Decimal, ...] | None:
        """US dollars of a million tokens of each class, those kept for an hour last, from the price of a thousand."""
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
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
            found.append(EXACT.multiply(EXACT.subtract(usd, floor), Decimal(1000)))
        return tuple(found)

    def _asked(self, provider: str, model: str, at: datetime, tokens: Counts, hour: int = 0) -> Decimal | None:
        """The price of some tokens; those written to caches are kept there for minutes, and `hour` of them for an hour."""
        input, output, read, written = tokens
        usage = self._list.Usage(
            input_tokens=input + read + written,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
            **({"cache_write_1h_tokens": hour} if hour else {}),
        )
        try:
            price = self._list.calc_price(
                usage, model_ref=model, provider_id=PROVIDERS.get(provider), genai_request_timestamp=at
            )
        except LookupError:
            return None
        return Decimal(price.total_price)


def _total(rates: tuple[Decimal, ...] | None, tokens: tuple[int, ...]) -> Decimal | None:
    if rates is None:
        return None
    return sum(starmap(EXACT.multiply, zip(rates, map(Decimal, tokens), strict=True)), ZERO) / MILLION


def _factor(model: str, terms: Terms) -> Decimal | None:
    """How many times the list price a call costs; None if nobody says."""
    if terms.other is not None:
        return None
    factor = EXACT.multiply(HALF if terms.batch else Decimal(1), IN_THE_US if terms.us else Decimal(1))
    if not terms.fast:
        return factor
    times = next((times for name, times in FAST.items() if model.startswith(name)), None)
    return None if times is None or terms.batch else EXACT.multiply(factor, Decimal(times))
