"""Base and adapter on the same prompts and target tokens -> divergences, answers, and whether the adapter is there."""
