//! The rules of the house that no compiler checks: who may know what, and that the documents name files that exist.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** Every file below `folder` whose name ends in `end`. */
function files(folder, end) {
  return readdirSync(join(root, folder), { recursive: true }).filter((name) => name.endsWith(end)).map((name) => join(folder, name));
}

/** The names of all crates a package is built from. */
function crates(name) {
  const { status, stdout, stderr } = spawnSync('cargo', ['tree', '--locked', '-p', name, '-e', 'normal', '--prefix', 'none', '--format', '{p}'], { cwd: root, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return [...new Set(stdout.split('\n').map((line) => line.split(' ')[0]).filter((crate) => crate !== ''))];
}

test('only the server\'s bridge names socketioxide, and the setting that chooses it', () => {
  const sources = [...['config', 'core', 'plugins'].flatMap((folder) => files(folder, '.rs')), ...files('server/src', '.rs')];
  const naming = sources.filter((file) => readFileSync(join(root, file), 'utf8').includes('socketioxide'));
  assert.ok(naming.length > 0);
  for (const file of naming) assert.match(file, /^(server\/src\/bridge(\.rs|\/)|config\/src\/settings\/server\.rs)/);
});

test('the core is built without HTTP, Redis or Socket.IO, and every package depends downhill', () => {
  const forbidden = /^(hyper|http|axum|tower|h2|redis|deadpool|socketioxide|engineioxide|tungstenite|tokio-tungstenite|reqwest)/;
  assert.deepEqual(crates('carillon-core').filter((crate) => forbidden.test(crate)), []);
  const order = ['carillon-config', 'carillon-core', 'carillon-plugins', 'carillon-server', 'carillon-benches'];
  for (const [at, name] of order.entries()) {
    const used = crates(name).filter((crate) => order.includes(crate) && crate !== name);
    for (const other of used) assert.ok(order.indexOf(other) < at, `${name} depends on ${other}`);
  }
});

for (const page of ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...files('docs', '.md')]) {
  test(`every link in ${page} leads somewhere`, () => {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(resolve(root, dirname(page), target)), `${page} links to ${target}`);
    }
  });
}
