"""Tests of the command itself."""
