"""Make the database and its content, in PAGES_DIRECTORY."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.end_to_end.realworld.apps.pages.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.files.base import ContentFile  # noqa: E402
from django.core.management import call_command  # noqa: E402
from wagtail.documents import get_document_model  # noqa: E402
from wagtail.models import Page, Site  # noqa: E402

from tests.end_to_end.realworld.apps.pages.models import Article  # noqa: E402

ARTICLES = 12

call_command("migrate", run_syncdb=True, verbosity=0)
ann = User.objects.create_superuser("ann", password="secret")
root = Page.objects.get(depth=1)
home = root.add_child(instance=Article(title="Home", slug="start", text="Welcome"))
for number in range(ARTICLES):
    text = "text " * (number + 1)
    article = Article(title=f"Article {number}", slug=f"article-{number}", text=text)
    home.add_child(instance=article)
    article.save_revision(user=ann).publish()
Site.objects.update(root_page=home)
content = ContentFile(b"%PDF " + bytes(range(256)) * 600, name="a.pdf")
get_document_model().objects.create(title="A file", file=content)
