"""How much a key may take, and in which time: `5usd/day`, `100k tokens/minute`, `60 requests/minute`.

The windows are fixed and follow the calendar in UTC: a day begins at 00:00, a week on Monday, a month on its first. So
within any 24 hours that lie across midnight up to twice a daily limit can be taken, and never more in one day.

Amounts are counted as whole numbers: dollars in millionths of a millionth (a token at 0.02 USD for a million is 20,000
of them), requests and tokens one by one. What is taken is rounded up, and a limit down.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from typing import Literal, get_args

from trivet.errors import ConfigError
from trivet.types import Value

__all__ = ["MOST", "Limit", "Period", "Unit", "amount", "counted", "plain", "told"]

Unit = Literal["usd", "requests", "tokens"]
Period = Literal["minute", "hour", "day", "week", "month", "ever"]

UNITS: tuple[Unit, ...] = get_args(Unit)
PERIODS: tuple[Period, ...] = get_args(Period)
_DIGITS = {"usd": 12, "requests": 0, "tokens": 0}
MOST = 2**62  # of one amount: two of them still fit into SQLite's integers
_LARGEST = {"usd": Decimal(1_000_000), "requests": Decimal(10**15), "tokens": Decimal(10**15)}

_UP = Context(prec=60, rounding=ROUND_CEILING)
_TEXT = re.compile(
    r"(?P<dollar>\$?)\s*(?P<number>[\d_,]*\.?\d+)\s*(?P<scale>[km]?)\s*(?P<unit>[a-z$]*)\s*(?:/|\bper\b)\s*(?P<per>[a-z]+)",
    re.IGNORECASE,
)
_SCALES = {"": 1, "k": 1_000, "m": 1_000_000}
_UNIT_WORDS: dict[str, Unit] = {
    "usd": "usd",
    "$": "usd",
    "request": "requests",
    "requests": "requests",
    "token": "tokens",
    "tokens": "tokens",
}
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_FOREVER = float("inf")


class Limit(Value, frozen=True, kw_only=True):
    """The most that may be taken in one window. `ever` is one window without an end."""

    amount: Decimal
    unit: Unit
    per: Period

    def __post_init__(self) -> None:
        if not self.amount.is_finite() or self.amount < 0:
            raise ValueError(f"the limit is {self.amount} {self.unit}, must be at least 0")
        if self.amount > _LARGEST[self.unit]:
            raise ValueError(f"the limit is {self.amount} {self.unit}, must be at most {_LARGEST[self.unit]:,}")
        if self.unit != "usd" and self.amount != self.amount.to_integral_value():
            raise ValueError(f"the limit is {self.amount} {self.unit}, must be a whole number")

    @classmethod
    def of(cls, text: str) -> Limit:
        """From `5usd/day`, `$5/day`, `60 requests/minute`, `100k tokens/minute`. Raises ConfigError."""
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise _wrong(text, "cannot be read" if "/" in text else "does not say in which time")
        unit = _UNIT_WORDS.get(found["unit"].lower() or found["dollar"])
        if unit is None or (found["dollar"] and unit != "usd"):
            what = f"{found['unit']!r} is none of {', '.join(UNITS)}" if found["unit"] else "does not say of what"
            raise _wrong(text, what)
        per = next((p for p in PERIODS if p == found["per"].lower()), None)
        if per is None:
            raise _wrong(text, f"{found['per']!r} is none of {', '.join(PERIODS)}")
        try:
            number = Decimal(found["number"].replace(",", "").replace("_", ""))
            return cls(amount=number * _SCALES[found["scale"].lower()], unit=unit, per=per)
        except (ValueError, InvalidOperation) as error:
            raise _wrong(text, str(error)) from None

    def __str__(self) -> str:
        """What `of` reads."""
        if self.unit == "usd":
            return f"{plain(self.amount)}usd/{self.per}"
        number = int(self.amount)
        text = f"{number // 1000}k" if number and number % 1000 == 0 else str(number)
        return f"{text} {self.unit}/{self.per}"

    @property
    def most(self) -> int:
        """Its amount, counted, and rounded down."""
        return int(_UP.scaleb(self.amount, _DIGITS[self.unit]))

    def window(self, now: float) -> tuple[int, float]:
        """Where the window that `now` is in begins and ends, in seconds since 1970."""
        if self.per == "ever":
            return 0, _FOREVER
        if self.per in _SECONDS:
            length = _SECONDS[self.per]
            began = int(now // length) * length
            return began, began + length
        day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.per == "week":
            monday = day - timedelta(days=day.weekday())
            return int(monday.timestamp()), (monday + timedelta(days=7)).timestamp()
        first = day.replace(day=1)
        return int(first.timestamp()), (first + timedelta(days=31)).replace(day=1).timestamp()


def counted(unit: str, amount: Decimal | int) -> int:
    """An amount as a whole number of the unit's smallest part, rounded up. Raises ValueError for one below 0."""
    digits = _DIGITS[unit]
    whole = amount * 10**digits if isinstance(amount, int) else _up(amount, digits)
    if whole < 0:
        raise ValueError(f"{amount} {unit} is less than nothing")
    return whole if whole < MOST else MOST


def _up(amount: Decimal, digits: int) -> int:
    if not amount.is_finite():
        raise ValueError(f"{amount} is no amount")
    return int(_UP.to_integral_value(_UP.scaleb(amount, digits)))


def amount(unit: str, whole: int) -> Decimal:
    """Back from `counted`."""
    return _UP.scaleb(Decimal(whole), -_DIGITS[unit])


def told(unit: str, whole: int) -> str:
    """`1.25 USD`, `1,000 tokens`."""
    return f"{plain(amount(unit, whole))} USD" if unit == "usd" else f"{whole:,} {unit}"


def plain(number: Decimal) -> str:
    """Without an exponent, and without zeros that say nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"The limit {text!r} is not right: {why}. Write an amount, its unit and a time: 5usd/day, 60 requests/minute, "
        f"100k tokens/minute; the times are {', '.join(PERIODS)}."
    )
