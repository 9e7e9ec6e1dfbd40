"""Products, which do not change, and notes, which visitors write."""

from django.db import models


class Product(models.Model):
    """Something on sale."""

    name = models.CharField(max_length=100)
    cents = models.IntegerField()

    class Meta:
        app_label = "shop"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Note(models.Model):
    """A remark of a visitor about a product."""

    product = models.ForeignKey(Product, models.CASCADE)
    author = models.CharField(max_length=100, db_index=True)
    text = models.CharField(max_length=200)

    class Meta:
        app_label = "shop"
