"""The parser's invariants, led by coverage: for machines on which atheris installs.

pip install atheris
python -m tests.fuzz.atheris_parser [-max_total_time=3600] [CORPUS_DIRECTORY]
"""

import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["pyfork.http", "h11"]):
    from pyfork.http.request.head_reader import HeadReader
    from tests.fuzz.mutations import BAD, GOOD, TOKENS
    from tests.fuzz.test_parser import LIMITS, judge, same
    from tests.http.reading import PARSERS

WARM = {name: HeadReader(LIMITS) for name in PARSERS}


def one(raw: bytes) -> None:
    """One stream: the parsers do the same with it however it is cut, the witnesses agree."""
    for name, kind in PARSERS.items():
        same(kind, raw, Random(raw), WARM[name])
    judge(raw)


def main() -> None:
    directory, *options = sys.argv[1:]
    streams, words = Path(directory, "streams"), Path(directory, "words")
    streams.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(GOOD + BAD):
        (streams / f"given-{number}").write_bytes(raw)
    words.write_text("".join(f'"{escaped(token)}"\n' for token in TOKENS))
    atheris.Setup([sys.argv[0], *options, f"-dict={words}", str(streams)], one)
    atheris.Fuzz()


def escaped(token: bytes) -> str:
    """As a dictionary of libFuzzer has it."""
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main()
