// Does what each line of its standard input says, and prints what happens, one JSON a line.
// primary.py does the same.
'use strict';
const cluster = require('cluster');
const net = require('net');
const readline = require('readline');

function report(fact) {
  process.stdout.write(JSON.stringify(fact) + '\n');
}

function primary() {
  const policy = process.argv[2];
  cluster.schedulingPolicy = policy === 'round-robin' ? cluster.SCHED_RR : cluster.SCHED_NONE;
  const all = {};
  const about = (worker) => [worker.id, worker.exitedAfterDisconnect ?? null];
  cluster.on('setup', (settings) =>
    report(['setup', 0, null, [settings.args, settings.silent ?? false]]));
  cluster.on('fork', (worker) => report(['fork', ...about(worker), []]));
  cluster.on('online', (worker) => report(['online', ...about(worker), []]));
  cluster.on('listening', (worker, at) =>
    report(['listening', ...about(worker), [at.address, at.port, at.addressType]]));
  cluster.on('message', (worker, value) => report(['message', ...about(worker), [value]]));
  cluster.on('disconnect', (worker) => report(['disconnect', ...about(worker), []]));
  cluster.on('exit', (worker, status, signal) =>
    report(['exit', ...about(worker), [status, signal]]));

  const orders = {
    fork(env) {
      const worker = cluster.fork(env);
      all[worker.id] = worker;
      report(['forked', worker.id, null, [worker.process.pid]]);
    },
    send: (id, value) => all[id].send(value),
    disconnect: (id) => all[id].disconnect(),
    kill: (id) => all[id].kill(),
    setup: (args, silent) => cluster.setupPrimary(
      { ...(args && { args }), ...(silent !== null && { silent }) }),
    end: () => cluster.disconnect(() => report(['ended', 0, null, []])),
  };
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', (line) => {
    const [order, ...rest] = JSON.parse(line);
    orders[order](...rest);
  });
}

function worker() {
  const server = net.createServer((client) => {
    client.on('error', () => {});
    client.on('data', () => client.write(`${cluster.worker.id}\n`));
  });
  server.on('error', (error) => process.send({ error: error.code }));
  server.listen({
    host: '127.0.0.1',
    port: Number(process.env.AT),
    exclusive: process.env.EXCLUSIVE === '1',
  });
  const orders = {
    where: () => process.send({ port: server.address().port }),
    echo: (value) => process.send({ echo: value }),
    reach: (port) => {
      const connection = net.connect(port, '127.0.0.1', () => process.send({ reached: port }));
      connection.resume();
    },
    exit: (status) => process.exit(status),
    kill: () => cluster.worker.kill(),
    disconnect: () => cluster.worker.disconnect(),
  };
  process.on('message', ([order, ...rest]) => orders[order](...rest));
}

if (cluster.isPrimary) primary();
else worker();
