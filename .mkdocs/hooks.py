"""The examples, which are outside of docs/, as files of the site.

The pages are written so that their links are right in the repository; here they are put right for
the site.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each example as a file to read."""
    for path in sorted((ROOT / "examples").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links out of docs/ stay in the site."""
    return re.sub(r"\]\(\.\./(?=examples/)", "](", markdown)
