"""Speech made hard on purpose: noise, babble and rooms, and what they do to the error rate."""
