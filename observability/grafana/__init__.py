"""The Grafana dashboard, its generator and its provisioning."""
