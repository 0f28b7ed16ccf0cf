"""Controllers: changes become keys, keys wait in a queue, workers reconcile them.

Reading order: `reconcile` (the contract), `predicates` and `handlers` (which change enqueues which key),
`ratelimit` and `workqueue`, `controller` (sources and workers), `builder` (how to put one together).
"""
