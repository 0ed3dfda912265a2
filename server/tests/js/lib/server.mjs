//! Starts the built binary on a free port, and stops everything a test started when the test ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openClient } from './client.mjs';
import { parseMetrics } from './metrics.mjs';
import { openRaw } from './raw.mjs';
import { DEADLINE_MS, until, within } from './wait.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');
const programs = {
  // The server, with the checks of a debug build.
  carillon: process.env.CARILLON_BINARY ?? join(root, 'target/debug/carillon'),
  // The crate outside the workspace, which adds the namespaces /order, /proto, /second, /seen, /rough and /tiny.
  fixture: process.env.CARILLON_FIXTURE ?? join(root, 'target/debug/carillon-fixture'),
};

/** The path of one of the two programs under test. */
export function programPath(name) {
  const path = programs[name];
  assert.ok(existsSync(path), `${path} is not built: run the whole of \`make test\` once`);
  return path;
}

// Variables of the original system, which Carillon understands; shells and build machines set some for their own ends.
const LEGACY = new Set(['HOST', 'PORT', 'REDIS_HOST', 'REDIS_PORT', 'REDIS_METRICS_DB', 'NODE_EXPORTER_PORT', 'NODE_EXPORTER_TIMEOUT',
  'METRICS_CACHE_TTL', 'METRICS_AGGREGATED_TTL', 'LOG_LEVEL']);

/** The environment of this process without any setting of Carillon's but the engine under test, `CARILLON_TEST_ENGINE`. */
export function cleanEnv(extra = {}) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CARILLON_') && name !== 'NOTIFY_SOCKET' && !LEGACY.has(name)));
  const engine = process.env.CARILLON_TEST_ENGINE;
  return { ...env, NO_COLOR: '1', ...(engine && { CARILLON_SERVER__ENGINE: engine }), ...extra };
}

/** Runs a program to its end, with nothing or `input` to read, and resolves to `{ code, out, err }`. */
export function runToEnd(name, args, { env = {}, input } = {}) {
  const child = spawn(programPath(name), args, { env: cleanEnv(env), stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  child.stdin?.on('error', () => {}).end(input);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => { out += chunk; });
  child.stderr.on('data', (chunk) => { err += chunk; });
  const ended = new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => done({ code, out, err }));
  });
  return within(ended, () => `${name} ${args.join(' ')} ends; it said: ${out}${err}`)
    .finally(() => { if (child.exitCode === null) child.kill('SIGKILL'); });
}

/** A folder of the test's own, removed when the test ends. */
export function tempFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** One running server; every client opened through it is closed before it is stopped. */
export class Server {
  constructor(child) {
    this.child = child;
    this.log = [];
    this.closers = [];
    /** What its clients need to trust it, when it speaks TLS: `{ ca }`, and the certificate they show. */
    this.trust = {};
    this.exit = new Promise((done) => child.on('close', (code, signal) => {
      this.ended = { code, signal };
      done(this.ended);
    }));
    for (const stream of [child.stdout, child.stderr].filter(Boolean)) {
      let rest = '';
      stream.on('data', (chunk) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop();
        this.log.push(...lines);
      });
    }
  }

  /** Resolves to the first match of `pattern` in the log. */
  async logged(pattern, ms) {
    return until(() => {
      for (const line of this.log) {
        const match = pattern.exec(line);
        if (match) return match;
      }
      assert.ok(!this.ended, `the server ended early with ${JSON.stringify(this.ended)}:\n${this.log.join('\n')}`);
      return null;
    }, () => `the log shows ${pattern}; it shows:\n${this.log.join('\n')}`, ms);
  }

  /** A stock client in a namespace, connected; see client.mjs. */
  async connect(namespace = '/', options = {}) {
    const socket = this.client(namespace, options);
    await socket.opened();
    return socket;
  }

  /** A stock client that was told to connect, whatever becomes of it. */
  client(namespace = '/', options = {}) {
    const socket = openClient(this.url + namespace, { ...this.trust, ...options });
    this.closers.push(() => socket.close());
    return socket;
  }

  /** A bare WebSocket at the Socket.IO endpoint; see raw.mjs. */
  async raw(options = {}) {
    const raw = await openRaw(this.url, { trust: this.trust, ...options });
    this.closers.push(() => raw.terminate());
    return raw;
  }

  /** One HTTP request that keeps no connection open. */
  fetch(path, options = {}, url = this.url) {
    return within(fetch(url + path, { ...options, headers: { connection: 'close', ...options.headers } }), `${path} answers`);
  }

  /** What /metrics shows now, where operators read it. */
  async metrics() {
    const response = await this.fetch('/metrics', {}, this.operators);
    assert.equal(response.status, 200);
    return parseMetrics(await response.text());
  }

  /** Resolves once `check(metrics)` no longer throws; fails with its last words at the deadline. */
  async metricsSettle(check, ms = DEADLINE_MS) {
    let last;
    await until(async () => {
      const metrics = await this.metrics();
      try {
        check(metrics);
        return true;
      } catch (error) {
        last = error;
        return false;
      }
    }, '', ms).catch((late) => { throw last ?? late; });
  }

  async closeClients() {
    await Promise.all(this.closers.splice(0).map((close) => close()));
  }

  /** Asks the server to stop and resolves to how it ended. */
  async stop(signal = 'SIGTERM') {
    await this.closeClients();
    if (!this.ended) this.child.kill(signal);
    return within(this.exit, () => `the server ends after ${signal}; it said:\n${this.log.slice(-20).join('\n')}`, 30_000)
      .finally(() => { if (!this.ended) this.child.kill('SIGKILL'); });
  }
}

/**
 * Starts a program and waits until it listens. When the test ends its clients are closed, it gets a SIGTERM,
 * and it must exit 0; a test that ended it already has its own word on the exit code. `logTo` is a file for its log;
 * then `listen` names the port.
 */
export async function start(t, { program = 'carillon', args = [], config, env = {}, listen = '127.0.0.1:0', openFiles, logTo } = {}) {
  // Without an address the settings say where.
  const command = ['serve', ...(listen === null ? [] : ['--listen', listen]), ...args];
  if (config !== undefined) {
    const file = join(tempFolder(t), 'carillon.toml');
    writeFileSync(file, config);
    command.push('--config', file);
  }
  // A limit is the shell's to set; it makes place for the program afterwards.
  const limited = openFiles === undefined ? [] : ['sh', '-c', `ulimit -n ${openFiles}; exec "$0" "$@"`];
  const [first, ...rest] = [...limited, programPath(program), ...command];
  const child = spawn(first, rest, {
    // A short drain: what a client left unread is not what a test waits for.
    env: cleanEnv({ CARILLON_DRAIN__WINDOW_MS: '100', CARILLON_DRAIN__DEADLINE_MS: '5000', ...env }),
    stdio: ['ignore', 'pipe', logTo ?? 'pipe'],
  });
  const server = new Server(child);
  t.after(async () => {
    if (server.ended) return server.closeClients();
    const { code, signal } = await server.stop();
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `a clean stop; the log ends:\n${server.log.slice(-20).join('\n')}`);
  });
  const [, url] = logTo === undefined ? await server.logged(/listening on (https?:\/\/\S+?:\d+)/) : ['', `http://${listen}`];
  server.url = url;
  server.operators = server.log.map((line) => /operators find .* on (http:\/\/\S+?:\d+)/.exec(line)?.[1]).find(Boolean) ?? url;
  server.port = Number(new URL(url).port);
  if (logTo !== undefined) await until(() => server.ended || server.fetch('/livez').then(({ ok }) => ok, () => false), 'it answers');
  server.listeningAt = Date.now();
  return server;
}
