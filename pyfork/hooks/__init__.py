"""The functions of a Python configuration file: how they are called, and with what.

Imported only where there is one.
"""
