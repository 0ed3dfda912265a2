//! The programs of tests/python: clients and publishers as they are written in Python.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DEADLINE_MS, until, within } from './wait.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Starts a program; it ends with the test. */
export function startPython(t, program, ...args) {
  const path = process.env.CARILLON_PYTHON ?? file('../../../../target/python/bin/python');
  assert.ok(existsSync(path), `${path} is not there: run the whole of \`make test\` once`);
  const child = spawn(path, ['-W', 'ignore', file(`../../python/${program}`), ...args.map(String)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  let code;
  child.stdout.on('data', (chunk) => { out += chunk; });
  child.stderr.on('data', (chunk) => { err += chunk; });
  const end = new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (status) => {
      code = status;
      done();
    });
  });
  t.after(() => child.kill('SIGKILL'));
  return {
    /** Resolves once it has printed this line. */
    prints: (line, ms = 2 * DEADLINE_MS) => until(() => {
      if (out.split('\n').includes(line)) return true;
      assert.equal(code, undefined, `${program} ended before it said ${line}: ${out}${err}`);
      return false;
    }, () => `${program} says ${line}; it said ${out}${err}`, ms),
    /** Resolves to what it printed, once it has ended well. */
    ends: async (ms = 3 * DEADLINE_MS) => {
      await within(end, () => `${program} ends; it said ${out}${err}`, ms);
      assert.equal(code, 0, `${program}: ${out}${err}`);
      return out;
    },
  };
}

/** Runs a program to its end and resolves to what it printed. */
export function python(t, program, ...args) {
  return startPython(t, program, ...args).ends();
}
