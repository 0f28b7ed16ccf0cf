"""Kubernetes objects as JSON trees, and pure functions on them.

Rule of entry: nothing here does I/O, awaits, reads a clock or logs. An object is a plain
`dict` as the API server sent it, so no field that this code does not know is ever lost.

Reading order: `kinds` (what a kind is), `tree` (accessors), `codec` (JSON and records),
`quantity`, `equality`, `conditions`, `patch`.
"""
