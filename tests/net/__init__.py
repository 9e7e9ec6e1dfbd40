"""Tests of addresses, listeners and who holds them."""
