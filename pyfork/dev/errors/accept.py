"""Which of a few media types a client would rather have: RFC 9110, section 12.5.1."""

import re

_RANGE = re.compile(r"([\w!#$&^.+-]+|\*)/([\w!#$&^.+-]+|\*)\Z")
_WEIGHT = re.compile(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)\Z")


def preferred(accept: str, offered: tuple[str, ...]) -> str:
    """The one of ``offered`` that ``accept`` likes best; the last one if it likes none.

    Of equals, the one that is named stands before one that only a wildcard allows; for a client
    that takes anything, that is the last one offered, and else the first.
    """
    ranges = list(_ranges(accept))
    best, liked = offered[-1], (0.0, 0)
    for media_type in reversed(offered):
        likes = _likes(media_type, ranges)
        named_better = likes == liked and likes[1] == 2
        if likes[0] > 0 and (likes > liked or named_better):
            best, liked = media_type, likes
    return best


def _likes(offered: str, ranges: list[tuple[str, str, float]]) -> tuple[float, int]:
    """The weight of the most specific range that fits, and how specific it is."""
    kind, _, subtype = offered.partition("/")
    fits = [
        ((kind == k) + (subtype == s), weight)
        for k, s, weight in ranges
        if k in (kind, "*") and s in (subtype, "*")
    ]
    specific, weight = max(fits, key=lambda each: each[0], default=(0, 0.0))
    return weight, specific


def _ranges(accept: str) -> list[tuple[str, str, float]]:
    """Malformed ranges count as absent."""
    found = []
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        match = _RANGE.match(name)
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        if match and _WEIGHT.match(weight):
            found.append((match[1], match[2], float(weight)))
    return found
