"""The JSON of the API: what is taken and what is given, with examples."""
