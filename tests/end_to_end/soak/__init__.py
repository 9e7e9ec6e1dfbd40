"""Long random runs, each with a seed: pytest -m soak."""
