"""The parent: decides in the supervisor, acts in the loop."""
