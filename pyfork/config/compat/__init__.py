"""What gunicorn and uvicorn call things, and what becomes of it here.

Imported only when one of their names, flags or files is used.
"""
