"""A stand-in data plane: what Knative would do to a Knative Service, on an API server without Knative.

For trying kfs out and for tests; nothing is served. Written with `kfs.manager` alone, it is also an example of
a controller. Reading order: `crds` (schema-free stand-ins for Knative's and Istio's kinds), `knative`.
"""
