"""Rules on the curve of the training steps, of a run of ours and of any other trainer's log alike."""
