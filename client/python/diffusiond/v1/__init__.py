"""Stubs of the API, made from proto/ when the package is built."""
