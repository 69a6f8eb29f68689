"""The one view of the shop."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path

from shop.models import Order
from shop.sending import send


@transaction.atomic
def take_in(request: HttpRequest) -> HttpResponse:
    """Store an order, and send it when that is committed, so that no worker looks for what is not there yet."""
    order = Order.objects.create(customer=request.POST["customer"], cents=int(request.POST["cents"]))
    transaction.on_commit(partial(send, order.customer, str(order.pk)))
    return HttpResponse(status=202)


urlpatterns = [path("orders", take_in)]
