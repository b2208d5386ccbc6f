"""From weakly labelled audio and captions to training shards, with a reason for everything that is dropped."""
