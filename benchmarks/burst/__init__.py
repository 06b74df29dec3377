"""In which order a backlog should be taken: three orders under the same burst."""
