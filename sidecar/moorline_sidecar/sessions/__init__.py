"""The use cases: get, create, change, renew, end, and the work in the background."""
