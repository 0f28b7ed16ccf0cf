"""The controllers: what must exist for each object, and the reconcilers that see to it.

Pure: `knative` and `ingress` (builders of children), `plan` (children and status of one
InferenceService). With I/O: the reconcilers.
"""
