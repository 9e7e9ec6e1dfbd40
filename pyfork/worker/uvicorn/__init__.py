"""The `uvicorn` worker: stock uvicorn in a worker process."""
