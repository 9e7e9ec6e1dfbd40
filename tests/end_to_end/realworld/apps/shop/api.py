"""The products and notes as an API of Django REST framework."""

from rest_framework import permissions, routers, serializers, viewsets
from rest_framework.authentication import BasicAuthentication
from rest_framework.pagination import PageNumberPagination

from tests.end_to_end.realworld.apps.shop.models import Note, Product


class ProductSerializer(serializers.ModelSerializer):  # type: ignore[misc]
    """A product."""

    class Meta:
        model = Product
        fields = ("id", "name", "cents")


class NoteSerializer(serializers.ModelSerializer):  # type: ignore[misc]
    """A note."""

    class Meta:
        model = Note
        fields = ("id", "product", "author", "text")


class Pages(PageNumberPagination):  # type: ignore[misc]
    """Ten at a time."""

    page_size = 10


class Products(viewsets.ReadOnlyModelViewSet):  # type: ignore[misc]
    """Anybody may read products."""

    queryset = Product.objects.order_by("pk")
    serializer_class = ProductSerializer
    pagination_class = Pages


class Notes(viewsets.ModelViewSet):  # type: ignore[misc]
    """Users may write notes."""

    serializer_class = NoteSerializer
    authentication_classes = (BasicAuthentication,)
    permission_classes = (permissions.IsAuthenticated,)

    def get_queryset(self):  # type: ignore[no-untyped-def]
        author = self.request.query_params.get("author")
        notes = Note.objects.order_by("pk")
        return notes.filter(author=author) if author else notes


router = routers.DefaultRouter()
router.register("products", Products)
router.register("notes", Notes, basename="note")
urlpatterns = router.urls
