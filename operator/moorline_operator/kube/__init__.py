"""The API server, as the operator sees it: objects are plain JSON, errors are the operator's."""
