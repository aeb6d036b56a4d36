"""Dates against the standard library's, which the scheduler may not import."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

import pytest

from miniecs_scheduler.dates import format_date, parse_date

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("year", [1900, 2000, 2023, 2024])
@pytest.mark.parametrize("month", range(1, 13))
def test_a_month_ends_when_it_does(year: int, month: int) -> None:
    last = monthrange(year, month)[1]
    expected = (datetime(year, month, last, tzinfo=UTC) - EPOCH).total_seconds()
    assert parse_date(f"{year}-{month:02d}-{last:02d}") == expected
    assert parse_date(f"{year}-{month:02d}-{last + 1:02d}") is None


def test_the_first_year_is_1() -> None:
    assert parse_date("0001-01-01") == (datetime(1, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()
    assert parse_date("0000-12-31") is None


DAYS = (0, 1, 58, 59, 364, 365, 366, 789, 790, 11_015, 11_016, 19_722, 20_453, 47_541)


@pytest.mark.parametrize("days", DAYS)
@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 3_599, 3_600, 3_661, 86_399])
def test_instants_are_written_as_the_standard_library_does(days: int, seconds: int) -> None:
    moment = EPOCH + timedelta(days=days, seconds=seconds)
    text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert format_date(moment.timestamp() + 0.75) == text
    assert parse_date(text) == moment.timestamp()
