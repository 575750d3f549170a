"""Rooms, their sessions and participants, and the numbers that lead to them."""
