"""What real servers were asked and answered, written down by their own scripts, and replayed through the laws.

Reading order: ``scripts`` (what writes it down), ``commands`` (what was asked, from arguments back to commands),
``replay`` (whether the answers are lawful), ``look`` (whether all was written down), ``watch`` (both, for a test; see
``tests/integration/conftest.py``), ``records`` (what chaos reads). ``python -m tests.audit`` runs other programs so.
"""
