"""For Django: ``"pyfork.django"`` in INSTALLED_APPS gives ``manage.py pyfork``.

Nothing else of pyfork imports this package, nor Django itself.
"""
