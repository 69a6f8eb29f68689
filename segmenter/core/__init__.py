"""The core: every decision of the library, and nothing but decisions.

Nothing here reads a clock, draws a random number, or does input and output; times, tokens and ids are arguments. The
runtime, the simulator and the tests are interpreters of what stands here.

Reading order, as a theory of operation:

``command``    what a backend is asked: one indivisible step on one slot.
``log``        a partition's log: positions, ordinals, producers.
``aside``      what a lane has set aside: parked and dead letters.
``partition``  the law of ownership and progress: claim, commit, release. Epochs are fencing tokens.
``creation``   how partitions and lanes come into being and go.
``forward``    settling and sending in one step.
``letters``    commands about what is set aside.
``retention``  the law of appending and trimming: idempotent producers, back-pressure.
``layout``     the configuration of a stream.       ``hashing``   from a key to its partition.
``group``      the document of a group: members, and what is meant for whom.
``assignor``   how partitions are spread: balanced, with the fewest moves.
``events``     what members tell each other.
``beats``      how members prove to be alive, and stop themselves in time.
``transitions``  the tables of a consumer's machine.  ``signals``   what the machine is told and asks for.
``member``     its state.                           ``wishes``    what it wants of the group's document.
``machine``    the engine: from documents and replies to claims.
``entries``    what an entry of a log has to be.
``message``    what a consumer is handed.           ``ranges``    sets of ordinals.
``failure``    how user code ended, and a safe text for what it raised.
``parking``    which keys are parked, and what the next commit sets aside.
``chains``     the messages in hand, linked by key.
``caution``    one message at a time, after owners that ended uncleanly.
``lanes``      order per key inside a consumer.     ``reading``   what to read next, and when to pause.
``errands``    what the owner does about requests for parked letters.
``observations``  what happened, as data.
``invariants`` what must hold, numbered as in specs/protocol.md.
"""
