"""Names of gunicorn and uvicorn, and their treatment here.

Imported only if one of their names, flags or files is used.
"""
