"""Rules on evaluation losses as another trainer logged them: one number each."""
