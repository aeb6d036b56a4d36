"""Dates of the query language as seconds since 1970, without `datetime`.

The scheduler may not import a module that can ask the time, and needs of it only this arithmetic.
"""

from __future__ import annotations

import re
from typing import Final

_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d{1,6})?(?:Z|([+-])(\d\d):(\d\d))?)?", re.ASCII
)
_DAY: Final = 86400
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse_date(text: str) -> float | None:
    """2018-06-18, 2018-06-18T22:28:28, with Z or +00:00; UTC unless it says otherwise. None: not a date."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, east, away = (
        int(found[i] or 0) for i in (1, 2, 3, 4, 5, 6, 9, 10)
    )
    if not (1 <= year and 1 <= month <= 12 and 1 <= day <= _days_in(year, month)):
        return None
    if hour > 23 or minute > 59 or second > 59 or east > 23 or away > 59:
        return None
    offset = (east * 60 + away) * (-60 if found[8] == "-" else 60)
    seconds = _day_number(year, month, day) * _DAY + hour * 3600 + minute * 60 + second - offset
    return seconds + float(found[7] or 0)


def format_date(seconds: float) -> str:
    """The instant as 2018-06-18T22:28:28Z, whole seconds."""
    days, rest = divmod(int(seconds // 1), _DAY)
    year = 1970 + days // 366
    while _day_number(year + 1, 1, 1) <= days:
        year += 1
    left = days - _day_number(year, 1, 1)
    month = 1
    while left >= _days_in(year, month):
        left -= _days_in(year, month)
        month += 1
    hour, minute, second = rest // 3600, rest // 60 % 60, rest % 60
    return f"{year:04d}-{month:02d}-{left + 1:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


def _day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar."""
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400 - 477
    return (year - 1970) * 365 + leap_days + sum(_days_in(year, m) for m in range(1, month)) + day - 1


def _days_in(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else _MONTH_DAYS[month - 1]
