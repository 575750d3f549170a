"""Puts phones into video rooms."""
