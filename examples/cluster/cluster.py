"""server.py three times on one port, by a program that forks its workers itself.

python cluster.py                     three processes, on 127.0.0.1:8003
python cluster.py 8004                with an argument
"""

from pyfork import cluster

if cluster.is_primary:
    for _ in range(3):
        cluster.fork()

    @cluster.on("listening")
    def listening(worker, address):
        print(f"worker {worker.id} ({worker.pid}) listens on {address.address}:{address.port}")

    @cluster.on("exit")
    def ended(worker, status, signal):
        print(f"worker {worker.id} has ended: {signal or status}")
        if not worker.exited_after_disconnect:
            cluster.fork()

else:
    import server

    server.main()
