"""Links that open a line of source in the developer's editor."""

import os
from collections.abc import Mapping
from urllib.parse import quote

EDITORS = {
    "vscode": "vscode://file{path}:{line}:{column}",
    "vscodium": "vscodium://file{path}:{line}:{column}",
    "cursor": "cursor://file{path}:{line}:{column}",
    "zed": "zed://file{path}:{line}:{column}",
    "pycharm": "pycharm://open?file={path}&line={line}&column={column}",
    "idea": "idea://open?file={path}&line={line}&column={column}",
    "sublime": "subl://open?url=file://{path}&line={line}&column={column}",
    "textmate": "txmt://open?url=file://{path}&line={line}&column={column}",
    "emacs": "emacs://open?url=file://{path}&line={line}&column={column}",
}
"""The schemes that these editors register, themselves or by a plug-in."""


def template(editor: str, environ: Mapping[str, str]) -> str:
    """The URL for ``editor``: a name of `EDITORS`, a URL with ``{path}`` and ``{line}``, or auto.

    ``auto`` is the editor in whose terminal pyfork was started. "" means that there are no links.
    """
    if editor == "auto":
        if environ.get("TERM_PROGRAM") == "vscode":
            return EDITORS["vscode"]
        return EDITORS["pycharm"] if "PYCHARM_HOSTED" in environ else ""
    return EDITORS.get(editor, editor)


def link(template: str, path: str, line: int, column: int = 1) -> str:
    """The URL that opens ``path`` at ``line``; "" without a template."""
    if not template:
        return ""
    whole = quote(os.path.abspath(path))
    filled = template.replace("{path}", whole).replace("{line}", str(line))
    return filled.replace("{column}", str(column))
