"""The Moorline sidecar: serves clustered HTTP sessions to the application beside it."""
