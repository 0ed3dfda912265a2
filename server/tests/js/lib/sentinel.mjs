//! A master with replicas, and Sentinels that watch them.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { common, firstToSay, freePort, Process } from './processes.mjs';
import { until } from './wait.mjs';

/** What the Sentinels call the master. */
const NAME = 'mymaster';

class Sentinel {
  /** The process that the Sentinels call the master. */
  async master() {
    const [sentinel] = this.sentinels;
    const [, port] = (await sentinel.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)).split('\n');
    return this.servers.find((server) => server.port === Number(port));
  }

  /** Resolves to when a Sentinel saw that another server had become a master: nobody can know it sooner. */
  promoted() {
    return firstToSay(this.sentinels, '+promoted-slave');
  }
}

/** Starts a master, `replicas` and three Sentinels that give it up after `downAfterMs`; all end with `t`. */
export async function startSentinel(t, { replicas = 2, downAfterMs = 1_000 } = {}) {
  const redis = new Sentinel();
  redis.servers = [];
  for (let at = 0; at <= replicas; at += 1) {
    const port = await freePort();
    const of = redis.servers[0];
    const follow = of ? ['--replicaof', '127.0.0.1', String(of.port)] : [];
    // A replica that syncs is of no use until it has: no waiting for others to sync with it.
    const server = new Process(t, port, (folder) => [...common(port, folder), '--repl-diskless-sync-delay', '0', ...follow]);
    await server.start();
    redis.servers.push(server);
  }
  const [master, ...others] = redis.servers;
  redis.sentinels = [];
  for (let at = 0; at < 3; at += 1) {
    const port = await freePort();
    const sentinel = new Process(t, port, (folder) => {
      // Sentinels write down what they learn.
      const file = join(folder, 'sentinel.conf');
      writeFileSync(file, [
        `port ${port}`, 'bind 127.0.0.1', `dir ${folder}`,
        `sentinel monitor ${NAME} 127.0.0.1 ${master.port} 2`,
        `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
        `sentinel failover-timeout ${NAME} 3000`,
      ].join('\n'));
      return [file, '--sentinel'];
    });
    await sentinel.start({ ready: `monitor master ${NAME}` });
    redis.sentinels.push(sentinel);
  }
  redis.url = `redis+sentinel://${redis.sentinels.map(({ address }) => address).join(',')}/2/${NAME}`;
  let seen;
  await until(async () => {
    seen = await Promise.all(redis.sentinels.map((sentinel) => sentinel.cli('SENTINEL', 'MASTER', NAME)));
    const number = (text, field) => Number(text.split('\n')[text.split('\n').indexOf(field) + 1]);
    return seen.every((text) => number(text, 'num-slaves') === others.length && number(text, 'num-other-sentinels') === 2);
  }, () => `the Sentinels know each other and all servers; they say\n${seen}`, 20_000);
  await until(async () => (await Promise.all(others.map((server) => server.cli('INFO', 'replication')))).every((text) => text.includes('master_link_status:up')), 'the replicas follow', 20_000);
  return redis;
}
