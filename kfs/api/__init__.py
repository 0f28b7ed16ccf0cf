"""What KFServing's objects and configuration mean, as pure functions and records.

Nothing here does I/O, awaits or logs. Reading order: `constants`, `names`, `config`, the typed
records (`v1beta1`), `frameworks` (how each model server is run), `component`, `inferenceservice`
(defaults and rules), `status`.
"""
