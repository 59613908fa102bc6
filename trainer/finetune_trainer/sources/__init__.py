"""Sources: `fetch.fetch(run)` brings model and rows to the job's volume, and names them by where they lie then."""
