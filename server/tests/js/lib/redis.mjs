//! A Redis of the test's own, and the publishers of the original system that write to it.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { tempFolder } from './server.mjs';
import { until, within } from './wait.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

/** A port nobody listens on. */
export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer().on('error', fail).listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** Starts a Redis that keeps nothing on disk, and resolves to `{ port, url, child }`; it ends with the test. */
export async function startRedis(t, { port, args = [] } = {}) {
  const at = port ?? await freePort();
  const child = spawn('redis-server', ['--bind', '127.0.0.1', '--port', String(at), '--save', '', '--dir', tempFolder(t), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let log = '';
  child.stdout.on('data', (chunk) => { log += chunk; });
  t.after(() => child.kill('SIGKILL'));
  await until(() => log.includes('Ready to accept connections'), () => `redis-server starts; it says:\n${log}`);
  // Number 2 is where the original system keeps its keys.
  return { port: at, url: `redis://127.0.0.1:${at}/2`, child };
}

/** Runs a Python program of tests/python to its end and resolves to what it printed. */
export function python(program, ...args) {
  const path = process.env.CARILLON_PYTHON ?? file('../../../../target/python/bin/python');
  assert.ok(existsSync(path), `${path} is not there: run the whole of \`make test\` once`);
  return within(new Promise((done, fail) => {
    execFile(path, ['-W', 'ignore', file(`../../python/${program}`), ...args.map(String)], (error, out, err) => {
      if (error) fail(new Error(`${program}: ${err}`));
      else done(out);
    });
  }), `${program} ends`);
}
