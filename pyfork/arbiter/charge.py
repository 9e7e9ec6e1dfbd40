"""What only one arbiter can have, and has as long as it is in charge.

The pid file, the socket files, the watcher, the control socket: in an upgrade they change hands.
"""

from pyfork.arbiter.house import House
from pyfork.arbiter.premises import Premises
from pyfork.arbiter.watch import Watch
from pyfork.control.server import Server
from pyfork.record import entity


@entity
class Charge:
    """Being the one that others ask for."""

    house: House
    premises: Premises
    watch: Watch
    control: Server

    def take(self) -> None:
        """What there is only one of is this arbiter's."""
        house = self.house
        config = house.generations.config(house.supervisor.serving.number)
        self.premises.take_charge(config)
        self.watch.heed(config)
        if not self.control.is_open:
            self.control.open(config.control)

    def give_way(self) -> None:
        """Another arbiter wants the same control socket, if it has a place of its own."""
        house = self.house
        config = house.generations.config(house.supervisor.serving.number)
        if config.control != "auto":
            self.control.unlisten()
