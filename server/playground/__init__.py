"""The page at ``/``: static files that a browser runs as they are, without a build step."""
