"""Numbers in the words that people compare them by: time, money, counts.

Not here: bytes (`planning.memory.estimate.readable`).
"""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3600, 86400
MANY = 10
"""From so many of a unit on, the next smaller one says nothing."""

CENTS_UP_TO = 100
"""USD from which on cents say nothing."""

BILLION, MILLION, THOUSAND = 10**9, 10**6, 10**3


def time(seconds: float) -> str:
    """Write a time with its two largest units."""
    for unit, name, smaller, smaller_name in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min")):
        if seconds >= unit:
            whole, rest = divmod(round(seconds / smaller), unit // smaller)
            return f"{whole} {name}" + (f" {rest} {smaller_name}" if rest and whole < MANY else "")
    return f"{seconds / MINUTE:.0f} min" if seconds >= 2 * MINUTE else f"{seconds:.0f} s"


def money(dollars: float) -> str:
    """Write an amount of USD."""
    return f"${dollars:,.0f}" if dollars >= CENTS_UP_TO else f"${dollars:.2f}"


def count(number: int) -> str:
    """Write a large number by its first digits."""
    for size, letter in ((BILLION, "B"), (MILLION, "M"), (THOUSAND, "K")):
        if number >= size:
            return f"{number / size:.{_decimals(number / size)}f} {letter}"
    return str(number)


def _decimals(value: float) -> int:
    """Return how many decimals make three digits."""
    return max(0, 3 - len(str(int(value))))
