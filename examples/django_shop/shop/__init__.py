"""A shop: orders are taken in by a view and billed by a worker."""
