//! A machine within this one: the same files, of which it changes copies in memory, and a systemd of its own.
//!
//! It needs root of a whole machine; a container's root may not make one.

import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cleanEnv, tempFolder } from './server.mjs';
import { until, within } from './wait.mjs';

/** Lays a layer in memory over the root, makes that the root, and becomes systemd in it. `$1` is an empty folder. */
const BOOT = `set -e
mount -t tmpfs layer "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay root -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
for folder in run tmp; do mount -t tmpfs "$folder" "$folder"; done
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount --rbind /dev dev
ip link set lo up
rm -rf etc/systemd/system/*.wants usr/sbin/policy-rc.d
ln -sf /usr/lib/systemd/system/multi-user.target etc/systemd/system/default.target
mkdir run/before
pivot_root . run/before
cd /
umount --lazy /run/before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system`;
const SPACES = ['--pid', '--mount', '--cgroup', '--net', '--uts', '--ipc'];

/** Boots one, which ends with the test; resolves to what runs a line of shell in it: `{ status, said }`. */
export async function boot(t) {
  const child = spawn('unshare', [...SPACES, '--fork', '--kill-child', 'sh', '-c', BOOT, 'sh', tempFolder(t)], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => { said += chunk; });
  const gone = new Promise((done) => { child.once('exit', done); child.once('error', done); });
  t.after(() => { child.kill('SIGKILL'); return within(gone, 'the machine ends'); });
  const run = (line) => {
    const [first] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
    const { status, stdout, stderr } = spawnSync('nsenter', ['--target', first, '--all', '--root', '--wdns=/', 'sh', '-c', line], { encoding: 'utf8', timeout: 60_000, env: cleanEnv() });
    return { status, said: (stdout + stderr).trim() };
  };
  await until(() => {
    if (child.exitCode !== null) throw new Error(`no machine within this one: ${said}`);
    return run('systemctl is-system-running').said.endsWith('running');
  }, () => `systemd has started; it says: ${run('systemctl is-system-running').said} ${said}`, 30_000);
  return run;
}
