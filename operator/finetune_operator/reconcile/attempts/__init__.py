"""The attempts at a job: what is known of them (`history.history`), how they begin, go, end, and what follows."""
