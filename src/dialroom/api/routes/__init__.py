"""The API's routes, a file for each resource."""
