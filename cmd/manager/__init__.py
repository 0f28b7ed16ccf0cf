"""`python -m cmd.manager`: the manager under the name of the original's `cmd/manager`."""
