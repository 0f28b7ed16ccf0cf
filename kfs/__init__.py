"""kfs: KFServing's controller manager in Python.

Reading order, from the bottom up:

* `kfs.manager`      the controller framework; knows nothing of InferenceServices
* `kfs.api`          KFServing's types and rules, pure
* `kfs.lookups`      the few reads that controllers and webhooks share
* `kfs.controllers`  what should exist, and the loops that make it so
* `kfs.webhook`      the admission handlers
* `kfs.install`      CRDs, configuration and webhook registrations, and what puts them on a server
* `kfs.dataplane`    a stand-in for Knative, on `kfs.manager` alone
* `kfs.options`, `kfs.logs`  flags, and how log lines look
* `kfs.app`          the wiring: options -> a Manager with everything registered
* `kfs.cli`          the command line (`kfs`, and `python -m cmd.manager`)
"""

__version__ = "0.1.0"
