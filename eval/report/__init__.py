"""Scores for people and for programs: terminal, Markdown, HTML and JSON. Counts nothing."""
