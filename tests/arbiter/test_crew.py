"""The crew's side of a worker, without a worker."""

from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.ipc.channel import pair
from pyfork.ipc.messages import Failed, WorkerReady
from pyfork.ipc.scoreboard import Scoreboard


def test_what_a_worker_said_before_it_died_is_heard_after() -> None:
    ours, theirs = pair()
    member = WorkerProcess(
        serial=1,
        slot=0,
        generation=1,
        pid=0,
        channel=ours,
        line=Scoreboard(1).line(0),
        index=0,
        born=0,
    )
    said = [WorkerReady("wsgi"), Failed("no module named shop", "Traceback")]
    for message in said:
        theirs.send(message)
    theirs.close()
    assert [received.message for received in member.unread_messages()] == said
    ours.close()
