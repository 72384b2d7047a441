"""The OpenAPI document: schemas and examples from the code that reads and writes the bodies, paths as data."""
