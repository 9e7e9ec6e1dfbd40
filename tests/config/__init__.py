"""Tests of settings: their values, their sources and their pages."""
