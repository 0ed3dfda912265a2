//! What the kernel says about this machine, to compare with what Carillon publishes.

import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { until } from './wait.mjs';

/** Busy and total CPU ticks over all cores, now. */
function ticks() {
  const [, ...fields] = readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/);
  const [user, nice, system, idle, iowait, irq, softirq, steal] = fields.map(Number);
  return { at: Date.now(), busy: user + nice + system + irq + softirq + steal, total: user + nice + system + idle + iowait + irq + softirq + steal };
}

/** Samples the CPU every 20 ms, so that any past interval can be asked for. */
export function watchCpu(t) {
  const samples = [ticks()];
  const timer = setInterval(() => samples.push(ticks()), 20);
  t.after(() => clearInterval(timer));
  const nearest = (at) => samples.reduce((best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best));
  return {
    /** CPU use in percent between two points in time (milliseconds since 1970). */
    between(from, to) {
      const [first, last] = [nearest(from), nearest(to)];
      return (100 * (last.busy - first.busy)) / Math.max(last.total - first.total, 1);
    },
  };
}

/** Keeps one core busy, so that an agreement about the CPU is not an agreement about zero. */
export function burnOneCore(t) {
  const worker = new Worker('for (;;) Math.sqrt(2);', { eval: true });
  t.after(() => worker.terminate());
}

/** Memory in use in percent: what is not available for new programs. */
export function memoryUse() {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]);
  return (100 * (field('MemTotal') - field('MemAvailable'))) / field('MemTotal');
}

/** The bytes of memory a process holds (its resident set). */
export function residentBytes(pid) {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

/** Watches the memory of a process until the test ends: how much more than now it held at most, in bytes. */
export function watchMemory(t, pid) {
  const before = residentBytes(pid);
  let most = before;
  const look = () => {
    try {
      most = Math.max(most, residentBytes(pid));
    } catch {
      // It has ended.
    }
    return most - before;
  };
  const timer = setInterval(look, 20);
  t.after(() => clearInterval(timer));
  return look;
}

/** Stops a program in its tracks. One of its threads learns of it first: the others may go on for a moment. */
export function stop(child) {
  child.kill('SIGSTOP');
  const tasks = `/proc/${child.pid}/task`;
  const stopped = (task) => readFileSync(`${tasks}/${task}/stat`, 'utf8').split(') ').at(-1).startsWith('T');
  return until(() => readdirSync(tasks).every(stopped), 'every thread has stopped');
}
