"""Worker names: a Lease for each, a label on its pod, given out by the leader."""
