"""The decisions of the arbiter, pure: events in, actions out."""
