"""Zero-shot evaluation: a corpus in, hypotheses on disk, error counts and reports out. Knows no HTTP framework."""
