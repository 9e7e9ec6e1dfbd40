"""The messages of a worker that has died."""

from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.ipc.channel import pair
from pyfork.ipc.messages import Failed, WorkerReady
from pyfork.ipc.scoreboard import Scoreboard


def test_messages_that_were_sent_before_the_death_are_received() -> None:
    ours, theirs = pair()
    worker = WorkerProcess(
        serial=1,
        slot=0,
        generation=1,
        pid=0,
        channel=ours,
        row=Scoreboard(1).row(0),
        index=0,
        born=0,
    )
    sent = [WorkerReady("wsgi"), Failed("no module named shop", "Traceback")]
    for message in sent:
        theirs.send(message)
    theirs.close()
    assert [received.message for received in worker.unread_messages()] == sent
    ours.close()
