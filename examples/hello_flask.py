"""Hello in Flask (pip install flask). Run it with:  pyfork examples.hello_flask:app -w 4"""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return f"Hello from process {os.getpid()}\n"
