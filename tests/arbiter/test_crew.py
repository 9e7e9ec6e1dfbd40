"""The crew's side of a worker, without a worker."""

from pyfork.arbiter.workers.process import Member
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
    said = [Ready("wsgi"), Failed("no module named shop", "Traceback")]
    for message in said:
        theirs.send(message)
    theirs.close()
    assert [received.message for received in member.last_words()] == said
    ours.close()
