"""A wagtail site: pages, its admin, images and reports."""
