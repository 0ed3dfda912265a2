//! Processes of Redis on loopback, whichever part they play: alone, watched by Sentinels, or nodes of a cluster.

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** One `redis-server`, which ends with `t`, and so does its folder. */
export class Process {
  /** `args` makes the arguments from the folder. */
  constructor(t, port, args) {
    this.port = port;
    this.address = `127.0.0.1:${port}`;
    const folder = mkdtempSync(join(tmpdir(), 'carillon-redis-'));
    this.args = args(folder);
    this.log = '';
    t.after(async () => {
      await this.kill();
      rmSync(folder, { recursive: true, force: true });
    });
  }

  /** Starts it, for the first time or again, and resolves to when it was ready (milliseconds since 1970). */
  async start({ ready = 'Ready to accept connections', ms } = {}) {
    this.child = spawn('redis-server', this.args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const begin = this.log.length;
    let at;
    this.child.stdout.on('data', (chunk) => {
      this.log += chunk;
      if (!at && this.log.slice(begin).includes(ready)) at = Date.now();
    });
    await until(() => at, () => `redis-server starts; it says:\n${this.log.slice(begin)}`, ms);
    return at;
  }

  /** Ends it at once, with all it knows. */
  async kill() {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    const end = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGKILL');
    await within(end, 'redis-server ends');
  }

  /** Stops it in its tracks, or lets it go on. */
  signal(name) {
    this.child.kill(name);
  }

  /** Runs `redis-cli` with one command. */
  cli(...command) {
    return within(new Promise((done, fail) => {
      execFile('redis-cli', ['-p', this.port, '--no-auth-warning', ...command].map(String), (error, out, err) => {
        if (error || /^(ERR|NOAUTH|NOPERM|WRONGPASS|MOVED|CLUSTERDOWN)/.test(out)) fail(new Error(`redis-cli ${command.join(' ')}: ${out}${err}`));
        else done(out.replace(/\n$/, ''));
      });
    }), () => `redis-cli ${command.join(' ')} ends`);
  }
}

/** The arguments that all of them have. */
export function common(port, folder) {
  return ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--dir', folder];
}

/** Resolves to when the log of one of these had `text`, from now on. */
export function firstToSay(processes, text) {
  const from = processes.map(({ log }) => log.length);
  return until(() => processes.some(({ log }, at) => log.slice(from[at]).includes(text)) && Date.now(), () => `one of ${processes.map(({ address }) => address)} says "${text}"`, 20_000);
}
