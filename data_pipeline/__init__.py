"""From weakly labelled audio and captions to training shards. The stages arrive with the pipeline itself."""
