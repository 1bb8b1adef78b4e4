"""What cotune makes of kills, damage, full disks and strangers, counted: ``make chaos``.

Each part is a module with a ``PART`` (:class:`chaos.part.Part`), and a line of :data:`chaos.parts.PARTS`.
"""
