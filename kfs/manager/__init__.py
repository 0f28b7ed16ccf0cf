"""kfs.manager: a controller framework for asyncio, as controller-runtime is for Go.

Rule of entry: nothing here knows of InferenceServices, or of any other product's kinds.

Reading order: `objects` (JSON trees), `client` (the API server), `cache` (a watched copy), `controller` (keys, queue,
reconcilers), `webhook` (admission), `manager` (what starts and stops them all), `testing` (a control plane, and a
scripted API server).
"""
