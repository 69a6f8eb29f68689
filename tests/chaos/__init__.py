"""Worker processes on a real Redis while everything goes wrong, and an audit of what the server did meanwhile.

Reading order: ``plan`` (what goes wrong, and when), ``tests/audit`` (what the server writes down), ``notes`` (what
processes write down), ``worker`` and ``producer`` (the programs), ``crew`` and ``faults`` (what is done to them),
``round`` (one run of it all), ``account`` (what came of it, as data), ``checks`` (what must hold of that), ``figures``,
``report``. ``failover`` is an experiment of its own: what an asynchronous failover loses.
"""
