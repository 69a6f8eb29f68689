"""What the shop remembers."""

from __future__ import annotations

from django.db import models

__all__ = ["Bill", "Order"]


class Order(models.Model):
    """What a customer wants."""

    customer = models.CharField(max_length=100)
    cents = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.customer}: {self.cents}"


class Bill(models.Model):
    """What a customer owes; one for each order."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"bill for {self.order}"
