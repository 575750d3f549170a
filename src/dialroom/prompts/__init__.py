"""What callers hear us say: prompts in ten languages, spoken numbers, tones and hold music."""

from dialroom.prompts.catalogue import DEFAULT_LANGUAGE, Clip, PromptError, Prompts

__all__ = ["DEFAULT_LANGUAGE", "Clip", "PromptError", "Prompts"]
