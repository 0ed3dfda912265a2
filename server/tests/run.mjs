#!/usr/bin/env node
//! `make test`: installs what is missing, runs every check and test, and ends with one summary line.
//!
//! `node server/tests/run.mjs [fmt|web|clippy|doc|rust|fixture|js|deny]...` runs some of the steps only. Three have to be asked
//! for: `soak` (with `fixture` before it) runs the tests that could go on for ever for about an hour, `deb` (with `web` before it)
//! installs the Debian package on this machine and removes it, and `pages` measures the pages in a browser.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target');
const js = join(here, 'js');
const python = join(here, 'python');
const venv = join(target, 'python');
const fixture = join(here, 'fixture');
// Of this version, and in a folder of its own: the next one is not mistaken for it.
const DENY = '0.20.2';
const tool = join(target, 'tools', `cargo-deny-${DENY}`);

// Every program the tests call beyond Rust and Node.js, and the Debian package that brings it.
const tools = [
  { program: 'cc', debian: 'build-essential' }, // links Rust programs, compiles the allocator
  { program: 'promtool', debian: 'prometheus' }, // checks what /metrics prints, and scrapes it
  { program: 'redis-server', debian: 'redis-server' }, // the bus of most installations
  { program: 'prometheus-node-exporter', debian: 'prometheus-node-exporter' }, // what every node of a cluster runs
  { program: 'openssl', debian: 'openssl' }, // issues the certificates that the tests of TLS show each other
  { program: 'python3', debian: 'python3 python3-venv' }, // publishes as the original system does
  { program: 'nginx', debian: 'nginx' }, // stands in front of many installations
  { program: 'haproxy', debian: 'haproxy' }, // likewise
  { program: 'faketime', debian: 'faketime' }, // sets the clock of one process
  { program: 'systemd-analyze', debian: 'systemd' }, // judges the unit file
  { program: 'chromium', debian: 'chromium fonts-dejavu-core' }, // opens the test page; a browser without a font shows boxes
  { program: 'man', debian: 'man-db', only: 'deb' }, // reads the manual that the package brings
  { program: 'ip', debian: 'iproute2', only: 'deb' }, // gives the machine within this one its loopback
];

// A step that takes longer hangs; the whole run is meant to stay under 14 minutes on two cores, with nothing built before.
const STEP_LIMIT_MS = 40 * 60_000;

const steps = {
  fmt: async () => add([
    await check('cargo', ['fmt', '--all', '--check']),
    await check('cargo', ['fmt', '--manifest-path', join(fixture, 'Cargo.toml'), '--check']),
    await check('cargo', ['fmt', '--manifest-path', join(here, '../fuzz/Cargo.toml'), '--check']),
  ]),
  // First of what takes time: the server's build takes the page in.
  web: () => check('make', ['web']),
  clippy: () => check('cargo', ['clippy', '--locked', '--workspace', '--all-targets', '--', '-D', 'warnings']),
  // What plugin authors read of the API has no broken link.
  doc: () => check('cargo', ['doc', '--locked', '-p', 'carillon-core', '--no-deps', '--all-features'], { env: { RUSTDOCFLAGS: '-D warnings' } }),
  rust: () => cargoTest(['--workspace', '--no-fail-fast']),
  fixture: () => buildFixture(),
  js: async () => add([
    ...(testsBuiltServer() ? [] : [await buildServer()]),
    await nodeTest(readdirSync(js).filter((name) => name.endsWith('.test.mjs') && !ALONE.includes(name) && name !== INSTALLS), { concurrency: FILES_AT_ONCE }),
    await nodeTest(PROTOCOLS, { concurrency: FILES_AT_ONCE, name: 'node-test-socketioxide', env: { CARILLON_TEST_ENGINE: 'socketioxide' } }),
    await nodeTest(ALONE, { concurrency: 1, name: 'node-test-alone' }),
  ]),
  // What Carillon depends on is what deny.toml allows.
  deny: async () => {
    const { ok } = await cargoDeny();
    if (!ok) return { passed: 0, failed: 1 };
    return check('cargo', ['deny', '--locked', 'check', 'licenses', 'bans', 'sources'], { env: { PATH: `${join(tool, 'bin')}${delimiter}${process.env.PATH}` } });
  },
  soak: async () => add([
    await buildServer(),
    await buildFixture('release'),
    await nodeTest(['foreign.test.mjs'], { concurrency: 1, env: { CARILLON_FIXTURE: built('release', 'carillon-fixture') } }),
    await cargoTest(['-p', 'carillon-server', '--lib', 'simulation'], { CARILLON_SIMULATION_SCHEDULES: String(SCHEDULES) }),
    await nodeTest(SOAKED, { limit: STEP_LIMIT_MS, concurrency: 1, env: { CARILLON_SOAK: '1' } }),
    await nodeTest(FAULTS, { limit: STEP_LIMIT_MS, concurrency: FAULTS.length, name: 'node-test-faults', env: { CARILLON_SOAK: '1' } }),
    // A thousand clients, and a node that is killed thirty times.
    await nodeTest(['recovery-nodes.test.mjs'], { limit: STEP_LIMIT_MS, concurrency: 1, name: 'node-test-recovery', env: { CARILLON_SOAK: '1', CARILLON_FIXTURE: built('release', 'carillon-fixture') } }),
    // What memory does tells little of a build without optimisation.
    await nodeTest(['churn.test.mjs'], { limit: STEP_LIMIT_MS, concurrency: 1, name: 'node-test-churn', env: { CARILLON_SOAK: '1', CARILLON_FIXTURE: built('release', 'carillon-fixture') } }),
  ]),
  deb: async () => add([
    await buildServer(),
    await nodeTest([INSTALLS], { limit: STEP_LIMIT_MS, concurrency: 1 }),
  ]),
  pages: async () => add([
    await check('make', ['web']),
    await buildServer('release'),
    await nodeTest(['pages-busy.mjs'], { limit: STEP_LIMIT_MS, concurrency: 1, name: 'node-test-pages', env: { CARILLON_BINARY: built('release', 'carillon') } }),
  ]),
};

// Takes minutes and tells nothing new about a small change; or changes the machine it runs on, for a while.
const OPTIONAL = ['soak', 'deb', 'pages'];
// It needs root, and to fetch and build what packs.
const INSTALLS = 'package.test.mjs';
// The files with tests that `lib/soak.mjs` makes longer.
const SOAKED = ['differential', 'relay', 'redis-sentinel', 'redis-cluster', 'cluster', 'python-client', 'transports', 'isolation', 'attacks', 'limits'].map((name) => `${name}.test.mjs`);
// Likewise; they mostly wait for what they have broken.
const FAULTS = ['redis-outage', 'faults-redis', 'faults-answers', 'faults-system'].map((name) => `${name}.test.mjs`);

// Files of JavaScript tests under way at once: what they do most is wait, and two keep two cores half busy.
const FILES_AT_ONCE = 3;
// The tables of the protocols, and what stock clients do: run on the second engine too.
const PROTOCOLS = readdirSync(js).filter((name) => /^(attacks|bad-|engineio-|identity|limits|protocol|rfc6455-|socketio-|transports).*\.test\.mjs$/.test(name));
// What they prove is disturbed by whatever else the machine does.
const ALONE = ['proc.test.mjs'];

// Random schedules of the simulation, of which the step `rust` runs a tenth, always the same ones: about five minutes.
const SCHEDULES = 100_000;

/** The value of an environment variable or path cannot be used: one line, exit code 2. */
function giveUp(line) {
  console.error(line);
  process.exit(2);
}

function found(program) {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Installs the Debian packages of the programs that are missing, or says how to. */
function installTools() {
  if (Number(process.versions.node.split('.')[0]) < 20) {
    giveUp(`Node.js ${process.versions.node} is too old: the tests need Node.js 20 or newer`);
  }
  for (const program of ['cargo', 'npm']) {
    if (!found(program)) giveUp(`${program} is missing: install Rust (https://rustup.rs) and Node.js 20 with npm`);
  }
  const missing = tools.filter(({ program, only }) => (!only || wanted.includes(only)) && !found(program));
  if (missing.length === 0) return;
  const packages = missing.map(({ debian }) => debian);
  const names = missing.map(({ program }) => program).join(', ');
  const command = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid() !== 0) giveUp(`missing: ${names}. As root, run: ${command}`);
  if (!found('apt-get')) giveUp(`missing: ${names}. This is not Debian: install them your system's way`);
  console.log(`missing: ${names}. Running: ${command}`);
  // Packages such as prometheus bring a daemon; the tests only want the program, so no service may start.
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const { status } = spawnSync('sh', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'], env });
    if (status !== 0) giveUp(`could not install ${packages.join(' ')}: see the lines above`);
  } finally {
    if (ours) unlinkSync(policy);
  }
  const still = missing.filter(({ program }) => !found(program));
  if (still.length > 0) giveUp(`installed, yet not found: ${still.map(({ program }) => program).join(', ')}`);
}

/** Runs `npm ci` unless node_modules already holds exactly what the lock file names. */
function installNpm() {
  const mark = join(js, 'node_modules', '.installed-from');
  const lock = createHash('sha256').update(readFileSync(join(js, 'package-lock.json'))).digest('hex');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return;
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: js, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) giveUp('npm ci failed in server/tests/js: see the lines above');
  writeFileSync(mark, lock);
}

/** Makes target/python unless it already holds exactly what the requirements name. */
function installPython() {
  const mark = join(venv, '.installed-from');
  const requirements = join(python, 'requirements.txt');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return;
  for (const [program, ...args] of [
    ['python3', '-m', 'venv', '--clear', venv],
    [join(venv, 'bin', 'pip'), 'install', '--quiet', '--disable-pip-version-check', '--requirement', requirements],
  ]) {
    const { status } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0) giveUp(`${program} ${args[0]} ${args[1]} failed: see the lines above (Debian: apt-get install python3-venv)`);
  }
  writeFileSync(mark, wanted);
}

/** Runs a program, shows what it prints, and resolves to its exit code and standard output. */
function run(program, args, { cwd = root, env = {} } = {}) {
  return new Promise((done) => {
    console.log(`\n$ ${[program, ...args].join(' ')}`);
    const colour = process.stdout.isTTY ? { CARGO_TERM_COLOR: 'always' } : {};
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...colour, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const chunks = [];
    child.stdout.on('data', (chunk) => {
      chunks.push(chunk);
      process.stdout.write(chunk);
    });
    const limit = setTimeout(() => {
      console.error(`${program} took more than ${STEP_LIMIT_MS / 60_000} minutes and was stopped`);
      child.kill('SIGKILL');
    }, STEP_LIMIT_MS);
    child.on('error', (error) => {
      clearTimeout(limit);
      console.error(`could not run ${program}: ${error.message}`);
      done({ ok: false, out: '' });
    });
    child.on('close', (code) => {
      clearTimeout(limit);
      done({ ok: code === 0, out: Buffer.concat(chunks).toString().replace(/\x1b\[[0-9;]*m/g, '') });
    });
  });
}

/** A command that passes or fails as a whole counts as one test. */
async function check(program, args, options) {
  const { ok } = await run(program, args, options);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1 };
}

function add(counts) {
  return counts.reduce((all, one) => ({ passed: all.passed + one.passed, failed: all.failed + one.failed }), { passed: 0, failed: 0 });
}

/** Adds up a runner's counts; one that fails without naming a failed test, or runs none, is itself a failure. */
function sum(ok, counts) {
  const total = add(counts);
  if (total.failed === 0 && (!ok || total.passed === 0)) total.failed = 1;
  return total;
}

async function cargoTest(what, env = {}) {
  const { ok, out } = await run('cargo', ['test', '--locked', ...what], { env });
  const results = [...out.matchAll(/^test result: \S+ (\d+) passed; (\d+) failed;/gm)];
  return sum(ok, results.map(([, passed, failed]) => ({ passed: Number(passed), failed: Number(failed) })));
}

/**
 * Builds the crate outside the workspace, with the workspace's dependency versions: it proves that foreign plugins link, and
 * serves the JavaScript tests. As it is released, with LTO, it takes minutes more.
 */
async function buildFixture(profile) {
  copyFileSync(join(root, 'Cargo.lock'), join(fixture, 'Cargo.lock'));
  return check('cargo', ['build', ...(profile ? [`--${profile}`] : []), '--manifest-path', join(fixture, 'Cargo.toml'), '--target-dir', target]);
}

/** Whether the Rust tests, some of which start the server, have just built it: by itself it has other features, and takes a minute. */
function testsBuiltServer() {
  return rows.some(({ name, failed }) => name === 'rust' && failed === 0);
}

/** The path of a program that cargo has built. */
function built(profile, name) {
  return join(target, profile, name);
}

/** Builds the server when the Rust tests did not run, or could not. */
function buildServer(profile) {
  return check('cargo', ['build', '--locked', ...(profile ? [`--${profile}`] : []), '-p', 'carillon-server', '--bin', 'carillon']);
}

let denyInstalled;
/**
 * cargo-deny, which no package brings: built once, with what cores the JavaScript tests leave, while they mostly wait.
 */
function cargoDeny() {
  denyInstalled ??= found('cargo-deny') || existsSync(join(tool, 'bin', 'cargo-deny'))
    ? Promise.resolve({ ok: true })
    : run('nice', ['-n', '19', 'cargo', 'install', '--quiet', '--debug', '--locked', '--root', tool, '--target-dir', join(tool, 'build'), `cargo-deny@${DENY}`], { env: { CARGO_PROFILE_DEV_DEBUG: '0' } });
  return denyInstalled;
}

/** Runs JavaScript tests, with everything they need installed. */
async function nodeTest(files, { limit = 180_000, concurrency, name = 'node-test', env = {} }) {
  installNpm();
  mkdirSync(target, { recursive: true });
  installPython();
  const tap = join(target, `${name}.tap`);
  rmSync(tap, { force: true });
  const { ok } = await run(process.execPath, [
    '--test',
    `--test-timeout=${limit}`,
    `--test-concurrency=${concurrency}`,
    '--test-reporter=spec', '--test-reporter-destination=stdout',
    '--test-reporter=tap', `--test-reporter-destination=${tap}`,
    ...files,
  ], {
    cwd: js,
    env: {
      CARILLON_BINARY: built('debug', 'carillon'),
      CARILLON_FIXTURE: built('debug', 'carillon-fixture'),
      CARILLON_PYTHON: join(venv, 'bin', 'python'),
      ...env,
    },
  });
  const text = existsSync(tap) ? readFileSync(tap, 'utf8') : '';
  const count = (word) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return sum(ok, [{ passed: count('pass'), failed: count('fail') + count('cancelled') }]);
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(steps).filter((name) => !OPTIONAL.includes(name));
const unknown = wanted.filter((name) => !(name in steps));
if (unknown.length > 0) giveUp(`no step named ${unknown.join(', ')}: the steps are ${Object.keys(steps).join(', ')}`);

installTools();
const rows = [];
for (const name of wanted) {
  if (name === 'js' && wanted.includes('deny')) cargoDeny();
  const start = Date.now();
  rows.push({ name, ...(await steps[name]()), seconds: Math.round((Date.now() - start) / 1000) });
}
console.log('\nsummary');
for (const { name, passed, failed, seconds } of rows) {
  console.log(`  ${name.padEnd(8)} ${String(passed).padStart(5)} ok ${String(failed).padStart(5)} failed ${String(seconds).padStart(5)} s`);
}
const total = add(rows);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
