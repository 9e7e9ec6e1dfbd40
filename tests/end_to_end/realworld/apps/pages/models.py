"""One kind of page."""

from django.db import models
from wagtail.admin.panels import FieldPanel
from wagtail.models import Page


class Article(Page):
    """A page with a text."""

    text = models.TextField()
    content_panels = (*Page.content_panels, FieldPanel("text"))

    class Meta:
        app_label = "pages"
