"""The status server: a child of the arbiter that answers probes and scrapes over HTTP."""
