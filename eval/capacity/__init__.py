"""What machines carry, what an hour of audio costs, what breaks first: from measured numbers and prices."""
