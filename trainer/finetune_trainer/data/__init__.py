"""Rows: `load.load_data(run)` reads, checks and splits the data set, before anything heavy is imported."""
