"""The crew's side of a worker, without a worker."""

import os

from pyfork.arbiter.crew import Member
from pyfork.ipc.channel import pair
from pyfork.ipc.messages import Failed, Ready
from pyfork.ipc.scoreboard import Scoreboard


def test_what_a_worker_said_before_it_died_is_heard_after() -> None:
    ours, theirs = pair()
    member = Member(
        worker=1,
        slot=0,
        generation=1,
        pid=0,
        channel=ours,
        line=Scoreboard(1).line(0),
        index=0,
        born=0,
    )
    reader, writer = os.pipe()
    theirs.send(Ready("wsgi"), [writer])
    theirs.send(Failed("no module named shop", "Traceback"))
    os.close(writer)
    theirs.close()
    assert list(member.last_words()) == [
        Ready("wsgi"),
        Failed("no module named shop", "Traceback"),
    ]
    assert os.read(reader, 1) == b"", "an fd that nobody expects is closed"
    os.close(reader)
    ours.close()
