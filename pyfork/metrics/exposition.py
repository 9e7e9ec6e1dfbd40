"""Text for Prometheus: its format 0.0.4, and OpenMetrics 1.0.

Rules: pure; knows formats, no metric.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyfork.record import field, record

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = Mapping[str, str]


@record
class Sample:
    """One line: what is behind the family's name, labels and the value."""

    value: float
    labels: Labels = field(default_factory=dict)
    suffix: str = ""


@record
class Family:
    """The samples of one name. That of a counter has no ``_total``: its samples get it."""

    name: str
    kind: str  # "counter", "gauge" or "histogram"
    help: str
    samples: Sequence[Sample]


def histogram(
    bounds: Sequence[float], counts: Sequence[int], total: float, labels: Labels
) -> Iterator[Sample]:
    """The samples of one histogram; ``counts`` has one number more than ``bounds``."""
    below = 0
    for bound, count in zip([*map(_number, bounds), "+Inf"], counts, strict=True):
        below += count
        yield Sample(below, {**labels, "le": bound}, "_bucket")
    yield Sample(total, labels, "_sum")
    yield Sample(below, labels, "_count")


def text(families: Iterable[Family], *, openmetrics: bool) -> str:
    """All of them. A family without samples is left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += _lines(family, openmetrics=openmetrics)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""])


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept field prefers OpenMetrics; Prometheus names what it likes best first."""
    return "application/openmetrics-text" in accept


def _lines(family: Family, *, openmetrics: bool) -> Iterator[str]:
    total = "_total" if family.kind == "counter" else ""
    shown = family.name if openmetrics else family.name + total
    yield f"# HELP {shown} {_escaped(family.help)}"
    yield f"# TYPE {shown} {family.kind}"
    for sample in family.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        name = f"{family.name}{sample.suffix}{total}"
        yield (
            f"{name}{{{labels}}} {_number(sample.value)}"
            if labels
            else (f"{name} {_number(sample.value)}")
        )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return repr(value) if isinstance(value, int) else repr(float(value))
