"""``segmenter bench``: what this server does for this client, side by side with plain redis-py."""
