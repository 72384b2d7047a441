"""The tiers. A provider is a small class with a name, a model and one method: `answer`."""
