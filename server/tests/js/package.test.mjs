//! The Debian package on this machine: packed, installed, used as it is meant to be, upgraded, removed and purged; and its
//! service under a systemd.
//!
//! It needs root, so it is no part of the usual run: `make deb-test`.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { boot } from './lib/machine.mjs';
import { cleanEnv, Server } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const root = resolve(import.meta.dirname, '../../..');
const SETTINGS = '/etc/carillon/carillon.toml';
const SECRETS = '/etc/carillon/carillon.env';

/** Runs a program that must end well, and returns what it printed; none of these complains about anything. */
function run(program, args, { quiet = true, ...options } = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', env: cleanEnv(), ...options });
  assert.equal(error, undefined);
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  if (quiet) assert.equal(stderr, '', `${program} ${args.join(' ')}`);
  return stdout.trim();
}

/** Images of containers are told to leave out manuals and documents: here they are wanted. */
const dpkg = (...args) => run('dpkg', ['--path-include=/usr/share/*', ...args], { quiet: false });
const inDatabase = (database, name) => spawnSync('getent', [database, name], { encoding: 'utf8' }).stdout.trim();

/** Packs the development build, and returns the package's path. */
const pack = () => resolve(root, run(resolve(root, 'config/debian/build'), ['dev'], { quiet: false }));

/** Everything on this machine that bears the name. */
const named = () => run('find', ['/etc', '/usr', '/var', '/run', '-xdev', '-name', '*carillon*']).split('\n').sort();

/** The installed program as the service's user, where the service runs, until the test ends it. */
async function serve(t) {
  const who = ['--reuid=carillon', '--regid=carillon', '--clear-groups'];
  const child = spawn('setpriv', [...who, '/usr/bin/carillon', 'serve', '--listen', '127.0.0.1:0'], {
    cwd: '/etc/carillon', env: { PATH: process.env.PATH, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const server = new Server(child);
  const [, url] = await server.logged(/listening on (http:\/\/\S+?:\d+)/);
  return { server, url };
}

test('the package installs, serves, keeps its settings when upgraded, and leaves nothing behind', async (t) => {
  assert.equal(process.getuid(), 0, 'packages are installed by root');
  assert.notEqual(spawnSync('dpkg', ['--status', 'carillon']).status, 0, 'a package carillon is installed here already');
  assert.equal(inDatabase('passwd', 'carillon'), '', 'there is a user carillon already');
  const before = named();
  const file = pack();
  t.after(() => dpkg('--purge', 'carillon'));

  dpkg('--install', file);
  assert.equal(dpkg('--verify', 'carillon'), '');
  const control = (field) => run('dpkg-query', ['--show', `--showformat=\${${field}}`, 'carillon']);
  assert.equal(control('db:Status-Abbrev').trim(), 'ii');
  assert.equal(run('carillon', ['--version']), `carillon ${control('Version')}`);
  assert.deepEqual([...control('Conffiles').matchAll(/(\/\S+)/g)].map(([, path]) => path).sort(), [SECRETS, SETTINGS]);
  assert.equal(statSync(SECRETS).mode & 0o777, 0o600, 'secrets are for root');
  assert.match(readFileSync('/usr/share/doc/carillon/copyright', 'utf8'), /^License: MIT$/m);
  const [, , uid, gid, , home, shell] = inDatabase('passwd', 'carillon').split(':');
  assert.ok(Number(uid) > 0 && Number(uid) < 1000 && uid === gid, `${uid} and ${gid} are of the system`);
  assert.deepEqual([home, shell], ['/', '/usr/sbin/nologin']);

  assert.match(run('carillon', ['check', '--config', SETTINGS]), /./);
  const { server, url } = await serve(t);
  assert.equal(run('carillon', ['probe', 'ready', '--url', url]), 'ready');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });

  run('systemd-analyze', ['verify', 'carillon.service']);
  run('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', 'carillon.service']);
  assert.equal(run('systemctl', ['is-enabled', 'carillon']), 'enabled');
  const pages = dpkg('--listfiles', 'carillon').match(/\/usr\/share\/man\/man1\/\S+/g);
  assert.ok(pages.some((page) => page.endsWith('/carillon-probe-ready.1.gz')), pages.join());
  for (const page of pages) assert.ok(run('man', ['--warnings', '--local-file', page]).length > 0, page);
  const completes = 'source /usr/share/bash-completion/completions/carillon && complete -p carillon';
  assert.match(run('bash', ['-c', completes]), /_carillon/);

  appendFileSync(SETTINGS, '[log]\nformat = "json"\n');
  dpkg('--install', file);
  assert.match(readFileSync(SETTINGS, 'utf8'), /format = "json"/, 'what was changed stays when the package comes again');

  dpkg('--remove', 'carillon');
  assert.deepEqual(['/usr/bin/carillon', '/usr/lib/systemd/system/carillon.service', SETTINGS].map(existsSync), [false, false, true]);
  dpkg('--purge', 'carillon');
  assert.deepEqual([inDatabase('passwd', 'carillon'), inDatabase('group', 'carillon')], ['', '']);
  assert.deepEqual(named(), before);
});

test('systemd runs the service of the package: started, reloaded, stopped for good by a mistake, ended with the package', async (t) => {
  const file = pack();
  const shell = await boot(t);
  const ok = (line) => {
    const { status, said } = shell(line);
    assert.equal(status, 0, `${line}: ${said}`);
    return said;
  };
  const state = (...names) => ok(`systemctl show carillon --value ${names.map((name) => `--property=${name}`).join(' ')}`).split('\n');
  ok(`cp /proc/1/root${file} /root/carillon.deb && dpkg --install /root/carillon.deb`);
  // Told by the server itself: with Type=notify it is active from then on.
  assert.deepEqual(state('ActiveState'), ['active']);
  assert.equal(ok('carillon probe ready'), 'ready');
  assert.equal(ok('stat --format=%U /proc/$(systemctl show carillon --value --property=MainPID)'), 'carillon');
  const measured = () => JSON.parse(ok(`${process.execPath} -e 'fetch("http://127.0.0.1:8085/api/cluster/nodes").then(async (answer) => console.log(await answer.text()))'`));
  await until(() => measured()[0]?.memory_usage > 0, 'it measures the machine, hardened as it is');

  ok(`printf '[log]\nlevel = "debug"\n' >> ${SETTINGS} && systemctl reload carillon`);
  await until(() => ok('journalctl --unit=carillon').includes('log.level is "debug" now'), 'it reads the settings again');
  ok(`echo 'nonsense = 1' >> ${SETTINGS}`);
  assert.notEqual(shell('systemctl reload carillon').status, 0, 'a mistake fails the reload');
  assert.deepEqual(state('ActiveState'), ['active']);
  assert.notEqual(shell('systemctl restart carillon').status, 0);
  assert.deepEqual(state('ActiveState', 'ExecMainStatus', 'NRestarts').sort(), ['0', '78', 'failed'], 'it is not tried again');
  ok(`sed -i /nonsense/d ${SETTINGS} && systemctl start carillon`);
  assert.equal(ok('carillon probe ready'), 'ready');

  ok('dpkg --remove carillon');
  assert.notEqual(shell('systemctl is-active carillon').status, 0, 'it ends with the package');
});
