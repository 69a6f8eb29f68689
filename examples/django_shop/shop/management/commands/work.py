"""``python manage.py work``."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand

from shop.billing import worker


class Command(BaseCommand):
    """Bills orders until SIGTERM or SIGINT, draining."""

    help = __doc__

    def handle(self, *_arguments: Any, **_options: Any) -> None:
        """Run the worker."""
        worker.main()
