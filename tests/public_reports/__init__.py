"""What users of libraries of this kind have reported, tried on this one: one test for each situation.

Read as a list, the tests say what a user may rely on when code of their own fails, hangs or is cancelled, and when
processes are deployed. Each names where the situation was reported.
"""
