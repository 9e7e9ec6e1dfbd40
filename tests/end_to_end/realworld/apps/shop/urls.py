"""Addresses."""

from importlib.util import find_spec

from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path

from tests.end_to_end.realworld.apps.shop import views

urlpatterns = [
    path("", views.catalogue),
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("notes/", views.notes),
    path("forget/", views.forget),
    path("upload/", views.upload),
    path("cheapest/", views.cheapest),
    path("export/", views.export),
    path("archive/", views.archive),
]
if find_spec("rest_framework"):
    urlpatterns.append(path("api/", include("tests.end_to_end.realworld.apps.shop.api")))
