"""The functions of a Python configuration file: how they are called, and their arguments.

Imported only if there is such a file.
"""
