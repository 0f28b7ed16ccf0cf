"""Webhooks: what the API server asks before it stores or converts an object, and the server that answers.

Reading order: `admission` and `conversion` (requests, answers, handlers), `review` (their JSON), `server`;
`certificates` and `authority` (what it serves with, and making that), `tls` (serving it while it changes).
"""
