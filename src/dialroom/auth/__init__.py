"""Who may do what: API keys, join tokens, and how many wrong guesses are one too many."""
