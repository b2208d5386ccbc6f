"""Stages: each ``Record -> Record | Drop``, pure, in a module of its own. The order is ``chunks``'s."""
