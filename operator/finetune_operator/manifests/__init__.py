"""Turns a job and its plan into the objects that run it; `build.children` is the entry."""
