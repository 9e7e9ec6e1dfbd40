"""What the site takes from outside of docs/: README.md as its first page, and the examples.

The pages are written so that their links are right in the repository; here they are put right for
the site.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
INDEX = "index.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out the pages that are not written yet."""
    docs = Path(config.docs_dir)
    nav: list[dict[str, str]] = config.nav or []
    config.nav = [
        entry for entry in nav if all(p == INDEX or (docs / p).exists() for p in entry.values())
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the first page, and each example as a file to read."""
    files.append(File.generated(config, INDEX, content=(ROOT / "README.md").read_text()))
    for path in sorted((ROOT / "examples").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Links out of docs/, and from README.md into it, stay in the site."""
    if page.file.src_uri == INDEX:
        return re.sub(r"\]\(docs/", "](", markdown)
    return re.sub(r"\]\(\.\./(?=examples/)", "](", markdown).replace("](../README.md", f"]({INDEX}")
