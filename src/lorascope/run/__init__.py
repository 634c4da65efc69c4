"""What a run is: its recipe, its folder, its records and where they came from."""
