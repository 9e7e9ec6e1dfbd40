"""Real applications with real clients, compared with the server that their documentation names."""
