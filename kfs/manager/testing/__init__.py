"""For a controller's tests: a real control plane (`envtest`) and its pytest fixture (`pytest_plugin`)."""
