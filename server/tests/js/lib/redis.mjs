//! A Redis of the test's own.

import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { tempFolder } from './server.mjs';
import { until, within } from './wait.mjs';

/** A port nobody listens on. */
export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer().on('error', fail).listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** A Redis that keeps nothing on disk. */
class Redis {
  constructor(t, port, args) {
    this.port = port;
    /** What it said since it was started last. */
    this.log = '';
    this.args = ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--dir', tempFolder(t), ...args];
    // Number 2 is where the original system keeps its keys.
    this.url = `redis://127.0.0.1:${port}/2`;
    t.after(() => this.child?.kill('SIGKILL'));
  }

  /** Starts it, for the first time or again, and resolves to when it was ready (milliseconds since 1970). */
  async start(ms) {
    this.child = spawn('redis-server', this.args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.log = '';
    let ready;
    this.child.stdout.on('data', (chunk) => {
      this.log += chunk;
      if (!ready && this.log.includes('Ready to accept connections')) ready = Date.now();
    });
    await until(() => ready, () => `redis-server starts; it says:\n${this.log}`, ms);
    return ready;
  }

  /** Ends it at once, with all it knows. */
  async kill() {
    const end = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGKILL');
    await within(end, 'redis-server ends');
  }

  /** Runs `redis-cli` with one command, on the database of the URL. */
  cli(...command) {
    return within(new Promise((done, fail) => {
      execFile('redis-cli', ['-p', this.port, '-n', 2, '--no-auth-warning', ...command].map(String), (error, out, err) => {
        if (error || /^(ERR|NOAUTH|NOPERM|WRONGPASS)/.test(out)) fail(new Error(`redis-cli ${command.join(' ')}: ${out}${err}`));
        else done(out.replace(/\n$/, ''));
      });
    }), () => `redis-cli ${command.join(' ')} ends`);
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
