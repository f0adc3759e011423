"""What the price of a call depends on beside its tokens: how it was made, and for how many calls its tokens are a sum."""

from typing import NamedTuple

BATCH, SUM, LONG, FAST, US = "batch", "sum", "long", "fast", "us"
_HOUR, _SEARCHES, _OTHER = "1h=", "searches=", "other="


class Terms(NamedTuple):
    """The terms of a call. As a text they are words, which stay empty for a call like any other."""

    batch: bool = False
    """Was it made in a batch, or whenever there was room?"""
    summed: bool = False
    """Are its tokens those of several calls? Then how many there are says nothing of how large any of them was."""
    long: bool = False
    """Were its calls of the larger context window?"""
    fast: bool = False
    us: bool = False
    """Was it to stay within the United States?"""
    hour: int = 0
    """Tokens of those written to caches that are kept there for an hour, not for minutes."""
    searches: int = 0
    """Searches of the web, which have a price of their own."""
    other: str | None = None
    """Anything else that changes the price: by how much is not known."""

    def __str__(self) -> str:
        said = zip((BATCH, SUM, LONG, FAST, US), self[:5], strict=True)
        words = [word for word, is_so in said if is_so]
        if self.hour:
            words.append(f"{_HOUR}{self.hour}")
        if self.searches:
            words.append(f"{_SEARCHES}{self.searches}")
        if self.other:
            words.append(f"{_OTHER}{self.other}")
        return " ".join(words)

    @classmethod
    def of(cls, text: str) -> "Terms":
        """Terms from their text; what else they depend on may have spaces, and comes last."""
        text, _, other = text.partition(_OTHER)
        words = text.split()
        batch, summed, long, fast, us = (word in words for word in (BATCH, SUM, LONG, FAST, US))
        hour, searches = (
            next((int(word.removeprefix(name)) for word in words if word.startswith(name)), 0)
            for name in (_HOUR, _SEARCHES)
        )
        return cls(batch, summed, long, fast, us, hour, searches, other or None)
