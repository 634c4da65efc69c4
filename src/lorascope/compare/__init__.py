"""Base and adapter on the same prompts and target tokens -> divergences, answers, the adapter's presence."""
