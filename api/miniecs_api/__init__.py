"""The AWS door: parses a request, calls the one function of its operation, renders the reply."""
