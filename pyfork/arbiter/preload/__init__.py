"""Fork servers: processes that have imported the application, and fork workers of it."""
