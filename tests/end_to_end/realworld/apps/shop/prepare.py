"""Make the database, its content and the static files, in SHOP_DIRECTORY."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.end_to_end.realworld.apps.shop.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

from tests.end_to_end.realworld.apps.shop.models import Product  # noqa: E402

PRODUCTS = 120

call_command("migrate", run_syncdb=True, verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
User.objects.create_superuser("ann", password="secret")
Product.objects.bulk_create(
    Product(name=f"Product {number:03}", cents=1000 + number * 37 % 1000)
    for number in range(PRODUCTS)
)
