"""The service against servers that others wrote: llama.cpp's, in Groq's place, and Ollama."""
