"""The table of articles."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """One kind of page."""

    initial = True
    dependencies: ClassVar = [("wagtailcore", "0089_log_entry_data_json_null_to_object")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="Article",
            fields=[
                (
                    "page_ptr",
                    models.OneToOneField(
                        "wagtailcore.page",
                        django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        auto_created=True,
                    ),
                ),
                ("text", models.TextField()),
            ],
            bases=("wagtailcore.page",),
        )
    ]
