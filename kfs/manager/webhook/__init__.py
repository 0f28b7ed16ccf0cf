"""Webhooks: what the API server asks before it stores an object, and the server that answers.

Reading order: `admission` (requests, answers, handlers), `conversion` (the other kind of handler), `review` (their
JSON), `server`, `certificates` (what it serves with).
"""
