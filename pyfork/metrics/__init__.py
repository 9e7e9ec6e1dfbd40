"""Metrics: counted by each worker, and written for Prometheus."""
