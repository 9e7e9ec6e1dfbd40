"""One program for Node's cluster and for ours, and what both do when they are told the same."""
