"""Views: synchronous and asynchronous ones, as Django's documentation writes them."""

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Iterator

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import render

from tests.end_to_end.realworld.apps.shop.models import Note, Product


class NoteForm(forms.ModelForm):  # type: ignore[type-arg]
    """A note about a product."""

    class Meta:
        model = Note
        fields = ("product", "text")


def catalogue(request: HttpRequest) -> HttpResponse:
    """All products, and how often this session has asked."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    products = Product.objects.all()[:20]
    context = {"products": products, "visits": request.session["visits"]}
    return render(request, "shop/catalogue.html", context)


@login_required
def notes(request: HttpRequest) -> HttpResponse:
    """The form, and the notes of the visitor that the query names."""
    author = request.GET.get("author", "")
    form = NoteForm(request.POST or None)
    if form.is_valid():
        with transaction.atomic():
            note = form.save(commit=False)
            note.author = author
            note.save()
        return HttpResponseRedirect(request.get_full_path())
    found = Note.objects.filter(author=author).select_related("product")
    return render(request, "shop/notes.html", {"form": form, "notes": found})


@login_required
def forget(request: HttpRequest) -> JsonResponse:
    """Remove the notes of a visitor."""
    count, _ = Note.objects.filter(author=request.POST["author"]).delete()
    return JsonResponse({"forgotten": count})


@login_required
def upload(request: HttpRequest) -> JsonResponse:
    """The digest of a file, and where Django had put it."""
    file = request.FILES["file"]
    assert isinstance(file, UploadedFile)
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    answer = {"name": file.name, "size": file.size, "class": type(file).__name__}
    return JsonResponse(answer | {"sha256": digest.hexdigest()})


async def cheapest(request: HttpRequest) -> JsonResponse:
    """The ORM in an asynchronous view."""
    product = await Product.objects.order_by("cents").afirst()
    names = [each.name async for each in Product.objects.all()[:5]]
    assert product
    return JsonResponse({"cheapest": product.name, "names": names})


def _row(product: Product) -> str:
    return f"{product.pk},{product.name},{product.cents}\n"


def export(request: HttpRequest) -> StreamingHttpResponse:
    """All products as CSV, streamed while they are read from the database."""

    def rows() -> Iterator[str]:
        for product in Product.objects.order_by("pk").iterator(chunk_size=20):
            # A query of its own for each row: the connection must still be this request's.
            Note.objects.filter(product=product, author="").exists()
            yield _row(product)

    async def rows_async() -> AsyncIterator[str]:
        async for product in Product.objects.order_by("pk").aiterator(chunk_size=20):
            yield _row(product)

    found = rows_async() if hasattr(request, "scope") else rows()
    return StreamingHttpResponse(found, content_type="text/csv")


def archive(request: HttpRequest) -> FileResponse:
    """A ZIP file that is made in memory."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for number in range(40):
            entry = zipfile.ZipInfo(f"{number}.txt")
            made.writestr(entry, f"{number} " * 1000)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename="archive.zip")
