"""A Django project: ORM, sessions, admin, login, forms, uploads, async views, exports, chat."""
