"""Datasette over the database that TABLES names."""

import os
import sys

# Optional to it: with it, one traceback in the log costs as much as a whole visit.
sys.modules["rich"] = None  # type: ignore[assignment]

from datasette.app import Datasette  # noqa: E402

app = Datasette([os.environ["TABLES"]]).app()
