"""What a study found: statistics and verdicts of each kind of study, as plain data.

A room for each kind (``grouping``, ``retention``, ``transfer``, ``functions``) and one for comparing arms of
training (``comparison``). Everything follows from records of measurements: no model is loaded and nothing is
drawn here; :mod:`cotune.report` draws findings.
"""
