"""What the service speaks of: events, closed sets of words, prompts, categories. No input, no output."""
