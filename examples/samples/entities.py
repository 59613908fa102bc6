"""Sentences of newspaper editorials with the people and places in them, as rows for token classification.

The tags are silver, not gold: a gazetteer wrote them. A place is a country, a US state or a city that gives a time zone
its name; a person is a common first name and the capitalised words after it, or those after a title.

Not here: the packages that text and gazetteers come from (`packages.py`).
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import packages

WORD = re.compile(r"[A-Z]\.(?=\s[A-Z])|\w+(?:[-\u2019]\w+)*|''|[^\w\s]")
MIN_WORDS, MAX_WORDS = 5, 60
LONGEST_PLACE = 4
MAX_NAME = 4
WITHOUT_ENTITY = 4
"""Of the sentences in which the gazetteer finds nothing, one in so many is kept."""

TITLES = frozenset(
    ("Mr", "Ms", "Mrs", "Dr", "President", "Senator", "Mayor", "Governor", "Representative", "Justice", "Secretary")
)
PLACES = Path(__file__).with_name("places.txt").read_text(encoding="ascii").splitlines()
"""The states of the US, and names that the time zone database does not use."""

CONTINENTS = frozenset({"Africa", "America", "Asia", "Australia", "Europe"})
"""Zones elsewhere are named for islands and stations: Christmas, Davis."""
ZONE_OF_A_CITY = 2


def write(target: Path) -> None:
    """Write one JSON object a line: `tokens`, `tags` (O, B-PER, I-PER, B-LOC, I-LOC)."""
    places, names = _places(), {name.capitalize() for name in packages.first_names()}
    rows, without = [], 0
    for line in dict.fromkeys(line.split("\t", 2)[2] for line in packages.news().splitlines()):
        words = WORD.findall(line)
        if not MIN_WORDS <= len(words) <= MAX_WORDS:
            continue
        tags = list(_tags(words, places, names))
        without += set(tags) == {"O"}
        if set(tags) != {"O"} or without % WITHOUT_ENTITY == 0:
            rows.append({"tokens": words, "tags": tags})
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} sentences, {sum(tag[0] == 'B' for row in rows for tag in row['tags'])} names")


def _tags(words: Sequence[str], places: frozenset[tuple[str, ...]], names: set[str]) -> Iterator[str]:
    position = 0
    while position < len(words):
        kind, length = _entity(words, position, places, names)
        yield from (["O"] if kind is None else [f"B-{kind}"] + [f"I-{kind}"] * (length - 1))
        position += max(1, length)


def _entity(
    words: Sequence[str], position: int, places: frozenset[tuple[str, ...]], names: set[str]
) -> tuple[str | None, int]:
    for length in range(LONGEST_PLACE, 0, -1):
        if tuple(words[position : position + length]) in places:
            return "LOC", length
    behind = words[max(0, position - 2) : position]
    titled = bool({*behind} & TITLES) and (behind[-1] in TITLES or behind[-1] == ".")
    length = _capitalised(words, position)
    if length and (titled or (words[position] in names and length > 1)):
        return "PER", length
    return None, 1


def _capitalised(words: Sequence[str], position: int) -> int:
    length = 0
    for word in words[position : position + MAX_NAME]:
        if not word[0].isupper() or word in TITLES:
            break
        length += 1
    return length


def _places() -> frozenset[tuple[str, ...]]:
    countries = [name for _code, name in packages.zone_table("iso3166.tab")]
    zones = [row[2].split("/") for row in packages.zone_table("zone.tab")]
    cities = [zone[1].replace("_", " ") for zone in zones if zone[0] in CONTINENTS and len(zone) == ZONE_OF_A_CITY]
    return frozenset(tuple(WORD.findall(name)) for name in (*countries, *cities, *PLACES))
