"""Where the pickled state of a pool says that its class is."""


class PoolState:
    """Slot ids and when, by the wall clock, each has expired."""

    def __init__(self):
        self.slots = {}

    def cleanup(self, now):
        """Leaves the expired out; how many there are then."""
        self.slots = {slot: end for slot, end in self.slots.items() if now <= end}
        return len(self.slots)
