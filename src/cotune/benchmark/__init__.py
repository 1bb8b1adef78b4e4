"""The evaluation set of grouping algorithms, recorded affinity tables, planted models, and timing.

Import from the modules: :mod:`~cotune.benchmark.planted` needs numpy alone, recording the whole of cotune.
"""
