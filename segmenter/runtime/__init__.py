"""The runtime: carries out what the core decides, and decides nothing.

``host``       what it takes from its machine: a clock, randomness, a place for the heart.
``heart``      one for a Segmenter: beats for all its consumers, apart from user code.
``pump``       one for a consumer: reads, hands out, commits; feeds the consumer's machine and does what it asks for.
``holding``    one for a partition that is held: its lanes, its commits, its end.
``sender``     one for a stream that is sent to: one append in flight for each partition.
``lifecycle``  creating and removing streams and groups, step by step, rolled forward by whoever meets it half done.
"""
