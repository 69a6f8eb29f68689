"""The worker of the shop."""

from __future__ import annotations

from django.db import close_old_connections

from segmenter import sync
from shop.models import Bill, Order

__all__ = ["worker"]

worker = sync.Worker(namespace="shop", group="billing")


@worker.handler("orders", type=str, key_concurrency=8)
def bill(number: str) -> None:
    """Bill an order; a plain function, since Django's models block. A repeated delivery changes nothing."""
    close_old_connections()
    try:
        Bill.objects.get_or_create(order=Order.objects.get(pk=number))
    finally:
        close_old_connections()
