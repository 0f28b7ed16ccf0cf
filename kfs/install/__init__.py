"""What a cluster needs to know of kfs before it runs: CRDs, webhook configurations, a configuration.

Reading order: `webhooks` (which webhooks there are, and why), `manifests` (every object that is installed),
`installer` (writes what is missing or different). The CRDs in `crds` are made by `hack/generate`.
"""
