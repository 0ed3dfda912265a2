//! A Redis of the test's own.

import { common, freePort, Process } from './processes.mjs';
import { until } from './wait.mjs';

export { freePort } from './processes.mjs';

/** A Redis that keeps nothing on disk. */
class Redis extends Process {
  constructor(t, port, args) {
    super(t, port, (folder) => [...common(port, folder), ...args]);
    // Number 2 is where the original system keeps its keys.
    this.url = `redis://${this.address}/2`;
  }

  /** Runs `redis-cli` with one command, on the database of the URL. */
  cli(...command) {
    return super.cli('-n', 2, ...command);
  }

  /** Resolves once so many programs (Carillons, mostly) are subscribed to each of these channels. */
  subscribers(count, channels = ['cluster:metrics', 'cluster:health', 'cluster:alerts', 'celery:metrics']) {
    let seen;
    return until(async () => {
      seen = await this.cli('PUBSUB', 'NUMSUB', ...channels);
      return channels.every((_, at) => seen.split('\n')[2 * at + 1] === String(count));
    }, () => `${count} subscribers; there are\n${seen}`);
  }
}

/** A Redis on a port of its own that is not started yet; it ends with the test. */
export async function prepareRedis(t, { port, args = [] } = {}) {
  return new Redis(t, port ?? await freePort(), args);
}

/** Starts a Redis; it ends with the test. */
export async function startRedis(t, options) {
  const redis = await prepareRedis(t, options);
  await redis.start();
  return redis;
}
