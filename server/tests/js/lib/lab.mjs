//! `make cluster`: a Redis of any topology and some Carillons on it, on loopback, with a table of what each sees, until Ctrl-C.
//!
//! `node server/tests/js/lib/lab.mjs [single|sentinel|cluster] [nodes]`; the tests start the same processes.

import { parseArgs } from 'node:util';
import { startRedis } from './redis.mjs';
import { startSentinel } from './sentinel.mjs';
import { start } from './server.mjs';
import { startCluster } from './shards.mjs';

/** From one table to the next; where the output is no terminal, from one line to the next. */
const [REDRAW_MS, LINES_MS] = [1_000, 5_000];
const NODES_MAX = 16;

const topologies = {
  single: async (t) => {
    const redis = await startRedis(t);
    return { url: redis.url, processes: { redis: [redis] } };
  },
  sentinel: async (t) => {
    const redis = await startSentinel(t);
    return { url: redis.url, processes: { sentinel: redis.sentinels, server: redis.servers } };
  },
  cluster: async (t) => {
    const redis = await startCluster(t, { replicas: 1 });
    return { url: redis.url, processes: { node: redis.nodes } };
  },
};

/** What a test's `t` is to what a test starts: everything ends in the other order. */
class Lifetime {
  hooks = [];

  after(hook) {
    this.hooks.push(hook);
  }

  async end() {
    for (const hook of this.hooks.splice(0).reverse()) {
      // Ctrl-C reaches the programs too, so some have ended in their own way.
      await Promise.resolve().then(hook).catch(() => {});
    }
  }
}

/** What a Carillon says of itself. */
async function seen(node) {
  try {
    const [metrics, ready] = [await node.metrics(), await (await node.fetch('/readyz')).json()];
    const messages = (result) => metrics.sum('carillon_cluster_messages_total', { result });
    return [
      node.url, ready.status, metrics.sum('carillon_connected_clients'), messages('sent'), messages('received'),
      metrics.sum('carillon_cluster_gaps_total'), metrics.sum('carillon_bus_published_locally_total'), metrics.sum('carillon_bus_reconnects_total'), ready.components.bus?.detail ?? '',
    ];
  } catch (error) {
    return [node.url, node.ended ? 'ended' : 'silent', ...Array(6).fill(''), error.message.split('\n')[0]];
  }
}

/** What a Redis says of itself. */
async function role(kind, process) {
  const name = await process.cli('ROLE').then((text) => text.split('\n')[0], () => 'away');
  return [process.address, kind, name, `pid ${process.child.pid}`];
}

function aligned(rows) {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => String(row[at]).length)));
  return rows.map((row) => row.map((cell, at) => String(cell).padEnd(widths[at])).join('  ').trimEnd()).join('\n');
}

async function table(url, processes, nodes) {
  const redis = await Promise.all(Object.entries(processes).flatMap(([kind, all]) => all.map((one) => role(kind, one))));
  const carillons = await Promise.all(nodes.map(seen));
  const head = ['carillon', 'readyz', 'clients', 'sent', 'received', 'gaps', 'kept local', 'reconnects', 'bus'];
  return `bus.url = "${url}"\n\n${aligned([['redis', 'kind', 'role', 'process'], ...redis])}\n\n${aligned([head, ...carillons])}\n`;
}

const { positionals } = parseArgs({ allowPositionals: true });
const [topology = 'single', count = '3'] = positionals;
const begin = topologies[topology];
if (!begin || !/^\d+$/.test(count) || Number(count) < 1 || Number(count) > NODES_MAX) {
  console.error(`usage: make cluster [REDIS=${Object.keys(topologies).join('|')}] [NODES=1..${NODES_MAX}]`);
  process.exit(2);
}

const life = new Lifetime();
let stop;
const stopped = new Promise((done) => { stop = done; });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, stop);
let code = 0;
try {
  const { url, processes } = await begin(life);
  const nodes = await Promise.all(Array.from({ length: Number(count) }, () => start(life, { args: ['--bus', url] })));
  const { isTTY } = process.stdout;
  if (isTTY) process.stdout.write('\x1b[2J');
  let going = true;
  stopped.then(() => { going = false; });
  while (going) {
    const text = await table(url, processes, nodes);
    const hint = `${nodes[0].url}/ and /router are pages of each; kill -STOP, -CONT or -KILL a process and watch; Ctrl-C ends all of it\n`;
    process.stdout.write(isTTY ? `\x1b[H${`${text}\n${hint}`.replaceAll('\n', '\x1b[K\n')}\x1b[J` : `${text}\n`);
    let timer;
    await Promise.race([stopped, new Promise((done) => { timer = setTimeout(done, isTTY ? REDRAW_MS : LINES_MS); })]);
    clearTimeout(timer);
  }
} catch (error) {
  console.error(error.message);
  code = 1;
} finally {
  await life.end();
}
process.exit(code);
