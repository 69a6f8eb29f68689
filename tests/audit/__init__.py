"""What a real server was asked and answered, written down by its own scripts, and replayed through the laws.

Reading order: ``scripts`` (what writes it down), ``replay`` (whether it is lawful), ``records`` (what chaos reads).
"""
