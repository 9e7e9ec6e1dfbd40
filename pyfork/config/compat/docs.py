"""The tables of docs/migrate-gunicorn.md and docs/migrate-uvicorn.md, made from the rules.

    python -m pyfork.config.compat.docs

writes them between two marks of the pages; the rest of a page is written by hand.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pyfork.config.compat.classes import REPLACEMENTS
from pyfork.config.compat.gunicorn import GUNICORN
from pyfork.config.compat.rules import CompatRule, Effect
from pyfork.config.compat.uvicorn import UVICORN
from pyfork.config.config import SETTINGS
from pyfork.config.settings.hooks import HookSettings

BEGIN, END = "<!-- made by: python -m pyfork.config.compat.docs -->\n", "<!-- end -->\n"


def gunicorn() -> str:
    """Return the worker classes and the settings of gunicorn."""
    return "\n".join([*_classes(), "", *_table("setting", GUNICORN, _setting), ""])


def uvicorn() -> str:
    """Return the options of uvicorn."""
    return "\n".join([*_table("option", UVICORN, _option), ""])


PAGES = {"migrate-gunicorn.md": gunicorn, "migrate-uvicorn.md": uvicorn}


def filled(page: str, table: str) -> str:
    """Return ``page`` with ``table`` between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def _classes() -> Iterator[str]:
    yield "| `-k` | becomes |"
    yield "|---|---|"
    for found in dict.fromkeys(REPLACEMENTS.values()):
        names = [f"`{name}`" for name, each in REPLACEMENTS.items() if each is found]
        says = found.says.removeprefix("became ")
        yield f"| {', '.join(names)} | {says if found.to else f'refused: {says}'} |"


def _table(
    heading: str, outcomes: Mapping[str, CompatRule], show: Callable[[str], str]
) -> Iterator[str]:
    yield f"| {heading} | here | |"
    yield "|---|---|---|"
    for name, outcome in outcomes.items():
        yield f"| {show(name)} | {_fate(outcome)} | {outcome.says.replace('|', chr(92) + '|')} |"


def _setting(name: str) -> str:
    return f"`{name}`"


def _option(name: str) -> str:
    outcome = UVICORN[name]
    if name == "app":
        return "`APP`"
    flags: list[str] = outcome.flags.split()
    if not flags and outcome.to in SETTINGS:
        own = SETTINGS[outcome.to]
        flags = [next((flag for flag in own.flags if "ssl" in flag), own.flags[-1])]
        flags += [own.off] if own.off else []
    flags += [outcome.off] if outcome.off else []
    return " ".join(f"`{flag}`" for flag in flags) or f"`--{name}`"


def _fate(outcome: CompatRule) -> str:
    if outcome.fate is not Effect.HONOURED:
        return str(outcome.fate.value)
    place = "configuration.md" if outcome.to in vars(HookSettings) else "settings.md"
    anchor = "#hooks" if outcome.to in vars(HookSettings) else f"#{outcome.to}"
    return f"[`{outcome.to}`]({place}{anchor})"


def main() -> None:
    """Fill in every page."""
    docs = Path(__file__).parents[3] / "docs"
    for name, table in PAGES.items():
        path = docs / name
        path.write_text(filled(path.read_text(), table()))


if __name__ == "__main__":
    main()
