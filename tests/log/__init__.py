"""Tests of the error log and the access log."""
