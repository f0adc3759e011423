"""Payloads: which amounts a pasted text, a saved page or an API answer names, and when it was taken."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from html import unescape
from typing import NamedTuple

from .errors import PayloadRefused, Refused, TimeRefused
from .money import dollars, usd

LIMIT = 64 * 1024
"""Bytes of UTF-8 that are kept with a reading."""

INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "meter",
        "output",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
"""Tags inside a line: what stands before and after them is one text."""
SHIFTED = frozenset(("sub", "sup"))
_GAP = "\0"
"""What stands for a block tag: not white space, so that no amount reaches across it."""
_RAISED = "\1"
"""What stands for the edge of a raised or lowered text: 12<sup>34</sup> may mean 12.34, or a footnote."""
_AMOUNT = re.compile(
    r"(?P<lead>[-\u2212]?)(?P<mark>(?<![A-Za-z])US\$|(?<!\w)USD\s?\$?|\$)\s?(?P<minus>[-\u2212]?)(?P<digits>\d[\d.,]*+)(?P<tail>\s*+USD\b)?"
    r"|(?<![\w.,$\u2212-])(?P<lead2>[-\u2212]?)(?P<digits2>\d[\d.,]*+)\s*+USD\b"
)
_THREE = re.compile(r"\d{3}(?!\d)")
_PLAIN = re.compile(r"\d+(?:\.\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_AMOUNT_FIELDS = ("cost_usd", "spent_usd", "extracted_usd")
_TIME_FIELDS = ("timestamp", "recorded_at")


class Payload(NamedTuple):
    """What a payload says: the distinct amounts it names, in order, and when it was taken, if it tells."""

    amounts: tuple[Decimal, ...]
    taken_at: datetime | None

    def amount_alone(self) -> Decimal:
        """The one amount of a payload that comes without another figure."""
        if len(self.amounts) == 1:
            return self.amounts[0]
        if not self.amounts:
            raise PayloadRefused(
                "the payload names no amount of USD (like $0.42 USD, or a field cost_usd): give --amount beside it"
            )
        raise PayloadRefused(
            f"the payload names several amounts ({_listed(self.amounts)}): say with --amount which one it is"
        )

    def must_name(self, figure: Decimal, what: str) -> None:
        """Refuse a payload that names amounts, but not this one."""
        if self.amounts and figure not in self.amounts:
            raise PayloadRefused(
                f"{what} says {dollars(figure)}, the payload says {_listed(self.amounts)}: give the right one, or only the payload"
            )


def _listed(amounts: tuple[Decimal, ...]) -> str:
    return ", ".join(f"{dollars(a)}" for a in amounts)


def read_payload(payload: str) -> Payload:
    """Read a payload of up to 64 KiB: a JSON object by its fields, anything else as text or HTML."""
    if len(payload.encode("utf-8", "surrogatepass")) > LIMIT:
        raise PayloadRefused(
            f"the payload is larger than {LIMIT // 1024} KiB: paste only the part that shows the figure"
        )
    if not payload.strip():
        raise PayloadRefused("the payload is empty: paste what shows the figure, or leave it out")
    fields = _json_object(payload)
    if fields is None or not any(name in fields for name in (*_AMOUNT_FIELDS, "display_html")):
        return Payload(_distinct(amounts_in(payload)), None)
    currency = fields.get("currency")
    if isinstance(currency, str) and currency.strip().upper() != "USD":
        return Payload((), _taken_at(fields))  # what it names are not US dollars
    named = [_field(fields[name], name) for name in _AMOUNT_FIELDS if fields.get(name) is not None]
    html = fields.get("display_html")
    return Payload(_distinct([*named, *(amounts_in(html) if isinstance(html, str) else ())]), _taken_at(fields))


def _field(value: object, name: str) -> Decimal:
    if not isinstance(value, str | int | Decimal):
        raise PayloadRefused(f"{name} of the payload is not a number: give --amount without it")
    return usd(value, f"{name} of the payload")


def _distinct(amounts: list[Decimal]) -> tuple[Decimal, ...]:
    return tuple(dict.fromkeys(amounts))


def _json_object(payload: str) -> dict[str, object] | None:
    if not payload.lstrip("\ufeff \t\r\n").startswith("{"):
        return None
    try:
        read = json.loads(
            payload.lstrip("\ufeff"), parse_float=_figure, parse_constant=_not_a_figure, object_pairs_hook=_fields
        )
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    twice = (
        next((name for name in fields if sum(name == other for other, _ in pairs) > 1), None)
        if len(fields) < len(pairs)
        else None
    )
    if twice is not None:
        raise PayloadRefused(f"the payload says '{twice}' twice: give --amount without it")
    return fields


def _figure(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise PayloadRefused("the payload holds a figure of absurd size: give --amount without it") from None


def _not_a_figure(name: str) -> None:
    raise PayloadRefused(f"the payload holds {name}, which is not a figure: give --amount without it")


def _taken_at(fields: dict[str, object]) -> datetime | None:
    stated = next((fields[name] for name in _TIME_FIELDS if fields.get(name) is not None), None)
    if stated is None:
        return None
    try:
        if isinstance(stated, int | Decimal) and not isinstance(stated, bool):
            return datetime.fromtimestamp(0, UTC) + _since_1970(stated)
        read = datetime.fromisoformat(str(stated).strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise TimeRefused(f"the payload's time {stated!s} cannot be read: give --measured-at") from None


def _since_1970(seconds: int | Decimal) -> timedelta:
    """Unix seconds; a figure with thousands of digits is refused before it is worked out."""
    if not 0 <= seconds < 10**11:
        raise ValueError("not Unix seconds of this age")
    return timedelta(microseconds=int(Decimal(seconds) * 10**6))


def amounts_in(text: str) -> list[Decimal]:
    """All amounts of USD that a text or an HTML page names, in order."""
    shown = _visible(text)
    return [amount for found in _AMOUNT.finditer(shown) if _says_usd(found) for amount in _amounts(shown, found)]


def _says_usd(found: re.Match[str]) -> bool:
    """A bare $ may be any dollar; US$ and USD may not."""
    return found["mark"] != "$" or found["tail"] is not None


def _amounts(shown: str, found: re.Match[str]) -> list[Decimal]:
    digits = (found["digits"] or found["digits2"]).rstrip(".,")
    if not _PLAIN.fullmatch(digits) or _is_unsure(shown, found, digits):
        raise PayloadRefused(
            f"the payload writes an amount as {_around(shown, found)!r}, which can be read in two ways: give --amount without it"
        )
    negative = any(found[sign] for sign in ("lead", "minus", "lead2"))
    named = [_kept(("-" if negative else "") + digits.replace(",", ""))]
    following = _FOLLOWING.match(shown, found.end()) if found["mark"] is None else None
    return named + ([_kept(following[1])] if following else [])  # in "2026 USD 5.00" either may be meant


_FOLLOWING = re.compile(r"\s?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)")


def _is_unsure(shown: str, found: re.Match[str], digits: str) -> bool:
    before, after = shown[max(0, found.start() - 5) : found.start()], shown[found.end() : found.end() + 5]
    if found["mark"] is None:
        set_apart = _THREE.match(digits) and re.search(r"(?<![\d.,])\d{1,3}[\s'\u2019]\Z", before)
        clock = re.search(r"\d[:/]\Z", before)
        return bool(set_apart or clock or re.search(rf"[<>~\u2248\u2264\u2265{_RAISED}]\s?\Z", before))
    another = found["mark"] == "$" and re.search(r"[A-Za-z]\Z", before)
    bound = re.search(rf"[<>~\u2248\u2264\u2265{_RAISED}]\s?\Z", before)
    whole = "." not in digits and "," not in digits
    more = found["tail"] is None and re.match(
        rf"[A-Za-z%{_RAISED}]" + (r"|[\s'\u2019]\d{3}(?!\d)" if whole else ""), after
    )
    return bool(another or bound or more)


def _around(shown: str, found: re.Match[str]) -> str:
    return shown[max(0, found.start() - 5) : found.end() + 5].replace(_GAP, " ").replace(_RAISED, "").strip()


def _kept(digits: str) -> Decimal:
    try:
        return usd(digits)
    except Refused as refusal:
        raise PayloadRefused(f"the payload names an amount that cannot be kept: {refusal.message}") from None


def _visible(text: str) -> str:
    """The text of a page as the eye reads it: inline tags inside a number vanish, all others end it."""
    if "<" not in text and "&" not in text:
        return text
    seen = unescape(_ABSURD.sub("\ufffd", _MARKUP.sub(_instead, text))).replace(_RAISED * 2, "")
    return re.sub(rf"([.,]){_RAISED}(\d+){_RAISED}", r"\1\2", seen)  # the raised cents of 12.<sup>34</sup>


_ABSURD = re.compile(r"&#\d{100,}+;?")
"""A character of so many digits that the standard library refuses to work it out; there is none."""
_MARKUP = re.compile(
    r"""(?is)<!--.*?(?:-->|\Z)"""
    r"""|<(?P<silent>script|style|template)\b.*?(?:</(?P=silent)\b[^>]*+>|\Z)"""
    r"""|</?(?P<tag>[a-z][^\s/>]*+)(?:[^"'>]|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))*+(?:>|\Z)"""
    r"""|<[!?/][^>]*+(?:>|\Z)"""
)
"""Comments, silent elements, tags, and what else a browser does not show; in one pass however it is written.

The standard library's parser takes minutes for 64 KiB of tags that do not end.
"""


def _instead(found: re.Match[str]) -> str:
    tag = (found["tag"] or "").lower()
    if found[0].startswith("<!--") or tag in INLINE:
        return ""
    return _RAISED if tag in SHIFTED else _GAP
