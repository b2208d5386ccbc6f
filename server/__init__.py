"""The HTTP service: requests in, a worker process in between, answers out. Knows no evaluation or training data."""
