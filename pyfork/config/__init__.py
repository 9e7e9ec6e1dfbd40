"""Every setting, declared once, and the sources of values."""
