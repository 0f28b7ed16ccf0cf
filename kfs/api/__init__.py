"""What KFServing's objects and configuration mean, as pure functions and records.

Nothing here does I/O, awaits or logs. Reading order: `constants`, `names`, `config`, the typed
records (`v1beta1`), `component`, `servers` (how each is run: `frameworks`, `explainers`, `custom`), `inferenceservice`
(defaults and rules), `status`.
"""
