"""The benchmark suite: what it computes and shows, and that it measures at all."""
