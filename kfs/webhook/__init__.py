"""The webhooks: defaults and rules of our objects, and what is injected into their pods.

Each module has pure functions on objects and, on top, the handlers that the webhook server calls.
"""
