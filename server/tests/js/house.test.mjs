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

/** What a manifest names under this heading of TOML, whichever package or target it is for. */
function named(manifest, headings) {
  const names = [];
  let wanted = false;
  for (const line of readFileSync(join(root, manifest), 'utf8').split('\n')) {
    if (line.startsWith('[')) wanted = headings.includes(line);
    else if (wanted) names.push(/^([\w-]+)(\.workspace)? = /.exec(line)?.[1]);
  }
  return names.filter(Boolean);
}

const manifests = ['config', 'core', 'plugins', 'server', 'benches', 'server/fuzz', 'server/tests/fixture'];

test('every dependency is used by the package that names it, and none is kept for nobody', () => {
  const used = new Set();
  for (const folder of manifests) {
    const sources = files(folder, '.rs').filter((file) => !file.startsWith(`${folder}/tests/fixture/`) && !file.startsWith(`${folder}/fuzz/`));
    const code = (file) => readFileSync(join(root, file), 'utf8').replaceAll(/^\s*\/\/.*$/gm, '');
    // Some tests are at home in another package.
    const borrowed = sources.flatMap((file) => [...code(file).matchAll(/#\[path = "(\.\.[^"]*)"\]/g)].map(([, path]) => join(dirname(file), path)));
    const text = [...sources, ...borrowed].map(code).join('\n');
    for (const name of named(`${folder}/Cargo.toml`, ['[dependencies]', '[dev-dependencies]', '[build-dependencies]'])) {
      used.add(name);
      assert.ok(new RegExp(`\\b${name.replaceAll('-', '_')}\\b`).test(text), `${folder}/Cargo.toml names ${name}, which nothing in ${folder} uses`);
    }
  }
  assert.ok(used.size > 50, `${used.size} dependencies`);
  for (const name of named('Cargo.toml', ['[workspace.dependencies]'])) assert.ok(used.has(name), `Cargo.toml names ${name}, which no package does`);
});

const documents = ['README.md', 'ARCHITECTURE.md', ...files('docs', '.md')];

test('every `make` word of the documents is one', () => {
  const words = [...readFileSync(join(root, 'Makefile'), 'utf8').matchAll(/^([a-z-]+):.*## /gm)].map(([, word]) => word);
  const told = documents.flatMap((page) => [...readFileSync(join(root, page), 'utf8').matchAll(/(?:`|^|=\S+ )make ([a-z-]+)\b/gm)].map(([, word]) => [page, word]));
  for (const word of ['dev', 'run', 'test', 'lint', 'docs']) assert.ok(told.some(([, one]) => one === word), `nobody is told of make ${word}`);
  for (const [page, word] of told) assert.ok(words.includes(word), `${page}: make ${word} is not among ${words}`);
});

test('the rules that the guide names are those that `make lint` holds', () => {
  const rules = {
    '.unwrap()': 'unwrap_used', '.expect(..)': 'expect_used', 'tokio::spawn': 'tokio::spawn', 'std::time::Instant': 'std::time::Instant',
    'println!': 'print_stdout', 'dbg!': 'dbg_macro', 'todo!': 'todo', 'let _ = f();': 'let_underscore_must_use',
    '"text".to_string()': 'str_to_string', '#[allow(..)]': 'allow_attributes', 'a public item': 'missing_docs',
  };
  const held = readFileSync(join(root, 'Cargo.toml'), 'utf8').split('[workspace.lints.rust]')[1] + readFileSync(join(root, 'clippy.toml'), 'utf8');
  const section = readFileSync(join(root, 'docs/plugin-guide.md'), 'utf8').split('`make lint` holds')[1].split('\n## ')[0];
  const rows = section.split('\n').filter((line) => /^\| [^i-]/.test(line) && !line.startsWith('| instead'));
  for (const [told, rule] of Object.entries(rules)) {
    assert.ok(rows.some((row) => row.includes(told)), `the guide does not name ${told}`);
    assert.match(held, new RegExp(`\\b${rule}("|\\b)`), `nothing holds ${rule}`);
  }
  for (const row of rows) assert.ok(Object.keys(rules).some((told) => row.includes(told)), `no rule is known for: ${row}`);
});

test('every variable that the documents name is read', () => {
  const reference = readFileSync(join(root, 'docs/reference/config.md'), 'utf8');
  const others = ['CARILLON_CONFIG', 'CARILLON_PORT', 'CARILLON_PLUGINS__CHAT__HISTORY'];
  // Those of the tests stand in ARCHITECTURE.md.
  const told = documents.filter((page) => page !== 'ARCHITECTURE.md').flatMap((page) => [...readFileSync(join(root, page), 'utf8').matchAll(/\bCARILLON_[A-Z0-9_]*[A-Z0-9]/g)].map(([name]) => [page, name]));
  assert.ok(told.length > 10);
  for (const [page, name] of told) {
    const known = reference.includes(`\`${name.replace(/__FILE$/, '')}\``) || others.includes(name);
    assert.ok(known, `${page} names ${name}, which is no setting`);
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
