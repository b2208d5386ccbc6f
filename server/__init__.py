"""The HTTP service: requests in, worker process in between, responses out. Knows nothing of evaluation or training data."""
