"""A shared, watched copy of the server's objects.

Reading order: `changes` (what subscribers see), `store` (the objects, and our own writes that no watch has
shown yet), `watcher` (list, then watch, for ever), `informer` (a watcher feeding a store), `cache` (all
informers), `delegating` (the client that reads here and writes to the server).
"""

from kfs.manager.cache.cache import Cache
from kfs.manager.cache.changes import Change, ChangeHandler
from kfs.manager.cache.delegating import DelegatingClient
from kfs.manager.cache.informer import Informer, Scope
from kfs.manager.cache.store import Store

__all__ = ["Cache", "Change", "ChangeHandler", "DelegatingClient", "Informer", "Scope", "Store"]
