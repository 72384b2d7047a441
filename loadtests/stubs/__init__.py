"""A server that speaks the wires of Groq and Ollama, and misbehaves on command."""
