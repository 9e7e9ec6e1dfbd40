"""The admin site."""

from django.contrib import admin

from tests.end_to_end.realworld.apps.shop.models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Products in the admin."""

    list_display = ("name", "cents")
    search_fields = ("name",)
