"""The interfaces of other profilers, over pyrec: change the import, and nothing else.

    from pyrec.compat import pprofile           for     import pprofile
    from pyrec.compat import cProfile                   import cProfile
    from pyrec.compat import profile                    import profile
    from pyrec.compat import hotshot                    import hotshot
    from pyrec.compat import line_profiler              import line_profiler

The names, methods, arguments and results are theirs; the numbers are pyrec's, exact and at its speed. A process has
one recorder, which runs while any of these profilers is enabled. Each has its own part of the recording, so they may
overlap, nest, and be enabled in one function or thread and disabled in another. The recording is in memory, 1 to 2.5
bytes an event, unless one goes on already (`pyrec run`, `pyrec.start`): then it is part of that. So what is profiled
for hours begins with pyrec.start("trace.bin").

Results come from the pyanalyze of the same installation; they are kept until the profiler is enabled again. What
cannot be done says so: NotImplementedError for arguments that have no meaning here (a timer of one's own), pyrec.Error
for all else.
"""
