//! A real node_exporter of the test's own, as it runs on every node of a cluster.

import { spawn } from 'node:child_process';
import { freePort } from './redis.mjs';
import { until, within } from './wait.mjs';

/** One node_exporter: on a port of its own, stopped and started as the test likes. */
class Exporter {
  constructor(port) {
    this.port = port;
    /** What Carillon's settings call the node. */
    this.node = `127.0.0.1:${port}`;
  }

  /** Starts it, and resolves once it answers. */
  async start() {
    // A container's root file system is an overlay, which the exporter leaves out unless it is told not to.
    this.child = spawn('prometheus-node-exporter', [`--web.listen-address=127.0.0.1:${this.port}`, '--collector.filesystem.fs-types-exclude=^proc$'], { stdio: 'ignore' });
    await until(() => fetch(`http://${this.node}/metrics`, { headers: { connection: 'close' } }).then((answer) => answer.text(), () => null), 'node_exporter answers');
    return this;
  }

  /** Ends it. */
  async stop() {
    const end = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGKILL');
    await within(end, 'node_exporter ends');
  }
}

/** Starts a node_exporter; it ends with the test. */
export async function startExporter(t) {
  const exporter = new Exporter(await freePort());
  t.after(() => exporter.child?.kill('SIGKILL'));
  return exporter.start();
}
