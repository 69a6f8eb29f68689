"""The runtime: carries out what the core decides, and decides nothing.

``host``       what it takes from its machine: a clock, randomness, a place for the heart.
``heart``      one for a Segmenter: beats for all its consumers, apart from user code.    ``lease``  what beats give.
``pump``       one for a consumer: feeds the consumer's machine, and does what it asks for.
``holding``    one for a partition that is held: its commits, its end.    ``holdings``  all of them, in turns.
``alarm``      what wakes it.    ``custody``  how a partition is taken in and given up.
``reader``     the read under way.    ``committer``  the commits under way.    ``prober``  idle holdings.
``delivery``   messages for a consumer, and whether its application reads them.
``standstill`` noticing that nothing is settled.
``hooks``      the user's functions that are told of partitions.    ``observers``  those that are told of everything.
``lifespans``  a worker's lifespan, in time.    ``threads``  plain functions in threads.
``stacks``     the functions that a thread is in, for errors.
``runner``     one for a consumer whose messages are handled by a worker: keys in parallel, time-outs, the end.
``slots``      who handles one message after the other.    ``slot_loop``  how.
``outcomes``   what becomes of a message by how its handler ended.    ``gate``  no claim beside an old handler.
``sender``     one for a partition that is sent to: one append in flight.
``receipts``   what a producer remembers, to name what was lost.    ``backoff``  waits between attempts.
``home``       the process and event loop that an object belongs to.
``lifecycle``  creating and removing streams and groups, step by step, rolled forward by whoever meets it half done.
``endings``    which observations end a consumer.
``failures``   the words for what ends a consumer or a send from outside.
"""
