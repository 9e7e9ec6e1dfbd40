"""The arbiter's side of the control socket."""
