"""Shared by arbiter and workers: messages, channel, scoreboard."""
