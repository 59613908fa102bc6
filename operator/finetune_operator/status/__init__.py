"""Tells the user where a job stands; `render.render` is the entry, `events.events` says what is new."""
