"""Datasette over the database that TABLES names."""

import os

from datasette.app import Datasette

app = Datasette([os.environ["TABLES"]]).app()
