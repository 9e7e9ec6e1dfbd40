"""Tests of the HTTP room."""
