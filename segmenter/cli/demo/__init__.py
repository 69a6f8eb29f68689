"""The main job, live: real events, consumers that join, leave and are killed, and a verdict.

``flights``  the events.        ``records``  what workers report.
``worker``   one consumer.      ``crew``     starting and killing them, as tasks or as processes.
``story``    who comes and goes when.        ``verdict``  what came out, computed from the reports alone.
``screen``   what a person sees.             ``command``  all of it together.
"""
