"""python -m shop.server"""

import runpy

runpy.run_path("server.py", run_name="__main__")
