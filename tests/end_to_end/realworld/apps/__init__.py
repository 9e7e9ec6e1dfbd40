"""The applications: each uses its framework as its documentation says, and knows no server."""
