"""What happened, how long it took and what came of it: events, their way into the database, and the baseline."""
