"""The arbiter is replaced: by an exec, by a new process, or by a takeover.

old arbiter            message                 new arbiter
SEND_LISTENERS         ListenerFds ->          boots its workers
                       <- Failed               it cannot; the old one keeps serving
                       <- NewArbiterReady      all its workers are ready
HAND_OVER, drains      HandoverGranted ->      becomes active
                       HandoffOffer ->         takes idle connections
                       <- HandoffDone, HandoffFailed
                       <- NewArbiterStopping   was told to stop: do not resume
fails, or refuses      UpgradeRejected ->      exits
"""
