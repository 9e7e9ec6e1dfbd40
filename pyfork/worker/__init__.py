"""The child: life cycle, accept, application loading."""
