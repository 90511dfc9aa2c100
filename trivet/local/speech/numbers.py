"""Numbers as English words."""

from __future__ import annotations

import re

__all__ = ["cardinal", "digits", "ordinal", "spoken"]

SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS["twelve"] = "twelfth"
SCALE = r"\s?(?:thousand|million|billion|trillion|bn|tn|[KkMmB])\b"  # as 3 million, 3M
SCALED = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "tn": "trillion"}
PARTS = {"2": "half", "3": "third", "4": "quarter"}
MONEY = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}

_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_AMOUNT = re.compile(rf"([$€£])\s?({_NUMBER})(?:\.(\d+))?({SCALE})?")
_TIME = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)\b(\s?(?:[ap]m\b|ay M\b|P M\b))?", re.I)
_ORDINAL = re.compile(rf"\b({_NUMBER})(?:st|nd|rd|th)\b", re.I)
_DECADE = re.compile(r"\b(\d{1,3}0)s\b")
_YEAR = re.compile(r"(?<![\d.,-])(1[1-9]\d\d|20\d\d)(?![\d%]|[.,]\d)")
_YEARS = re.compile(r"(?<![\d.,-])(1[1-9]\d\d|20\d\d)\s?[-–]\s?(1[1-9]\d\d|20\d\d)(?![\d%-]|[.,]\d)")
_PART = re.compile(r"(?<![\d/.,])([1-9])/([2-4])(?![\d/]|[.,]\d)")
_UNIT = re.compile(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)")  # as in 16GB and v2
_POINT = re.compile(r"(?<![\w.])\.(?=\d)")
_PLAIN = re.compile(rf"(?<![\w.])((?<![%°)])-)?({_NUMBER})(?:\.(\d+))?")
_LEFT = re.compile(r"\d+")


def spoken(text: str) -> str:
    """`text` with its amounts, times, years, ordinals and numbers as words, in the order in which they exclude each
    other."""
    text = _AMOUNT.sub(_money, text)
    text = _TIME.sub(_time, text)
    text = _ORDINAL.sub(lambda m: ordinal(_int(m[1])), text)
    text = _DECADE.sub(lambda m: _plural(year(int(m[1]))), text)
    text = _YEARS.sub(lambda m: f"{year(int(m[1]))} to {year(int(m[2]))}", text)
    text = _PART.sub(_part, _POINT.sub("0.", _UNIT.sub(" ", text)))
    text = _YEAR.sub(lambda m: year(int(m[1])), text)
    text = _PLAIN.sub(_plain, text)
    return _LEFT.sub(lambda m: f" {digits(m[0])} ", text)  # in the middle of something, as in B2B


def cardinal(number: int) -> str:
    """From zero to under a quadrillion; what is larger digit by digit."""
    if number >= 10**15:
        return digits(str(number))
    if number < 20:
        return SMALL[number]
    if number < 100:
        ten, one = divmod(number, 10)
        return TENS[ten] + (f" {SMALL[one]}" if one else "")
    scale, name = next((scale, name) for scale, name in SCALES if number >= scale)
    many, rest = divmod(number, scale)
    return f"{cardinal(many)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    *before, last = cardinal(number).split()
    last = ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return " ".join((*before, last))


def year(number: int) -> str:
    century, rest = divmod(number, 100)
    if number % 1000 < 10 or not 1100 <= number < 2100:
        return cardinal(number)
    return f"{cardinal(century)} {'hundred' if not rest else f'oh {SMALL[rest]}' if rest < 10 else cardinal(rest)}"


def digits(text: str) -> str:
    return " ".join(SMALL[int(digit)] for digit in text)


def _int(text: str) -> int:
    return int(text.replace(",", ""))


def _money(m: re.Match[str]) -> str:
    whole, part = MONEY[m[1]]
    number, after, scale = _int(m[2]), m[3] or "", (m[4] or "").strip()
    scale = scale and f" {SCALED.get(scale.lower(), scale)}"
    if scale or len(after) not in (0, 2):
        return f"{cardinal(number)}{f' point {digits(after)}' if after else ''}{scale} {whole}s"
    said = f"{cardinal(number)} {whole}{'' if number == 1 else 's'}"
    cents = int(after or 0)
    many = "pence" if part == "penny" else f"{part}s"
    return said + (f" and {cardinal(cents)} {part if cents == 1 else many}" if cents else "")


def _time(m: re.Match[str]) -> str:
    hour, minute = int(m[1]), int(m[2])
    if m[3]:
        return f"{cardinal(hour)}{f' {_minutes(minute)}' if minute else ''} {m[3].strip()}"
    if not minute:
        return f"{cardinal(hour)} o'clock" if 1 <= hour <= 12 else f"{cardinal(hour)} hundred"
    return f"{cardinal(hour)} {_minutes(minute)}"


def _minutes(minute: int) -> str:
    return f"{'oh ' if minute < 10 else ''}{cardinal(minute)}"


def _part(m: re.Match[str]) -> str:
    many, whole = int(m[1]), PARTS[m[2]]
    if many == 1:
        return f"one {whole}"
    return f"{cardinal(many)} {'halves' if whole == 'half' else f'{whole}s'}"


def _plural(words: str) -> str:
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _plain(m: re.Match[str]) -> str:
    sign = "minus " if m[1] else ""
    led = len(m[2]) > 1 and m[2].startswith("0")  # 007, as it is written
    whole = digits(m[2]) if led or len(m[2].replace(",", "")) > 15 else cardinal(_int(m[2]))
    return sign + whole + (f" point {digits(m[3])}" if m[3] else "")
