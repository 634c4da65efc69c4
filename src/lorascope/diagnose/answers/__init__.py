"""Rules on what the adapter generates, always beside the base and the answers of the data."""
