"""Wires everything and keeps it running; `app.run` is the entry."""
