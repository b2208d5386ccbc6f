"""Training: shards in, models out. Knows no HTTP, no corpora and no error rates: ``auricle-eval`` reads what it makes.

Example → tokens and log-Mel → batches → objective → trainer → checkpoints → a model folder that everything else loads.
"""
