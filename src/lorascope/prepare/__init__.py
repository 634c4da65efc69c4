"""Files -> rows -> conversations -> token ids and labels -> splits without leaks -> an Arrow dataset."""
