"""The operator: makes a Kubernetes cluster what its SessionClusters say."""
