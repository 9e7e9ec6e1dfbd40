"""The arbiter replaces itself: by exec, by a new process, or by a takeover."""
