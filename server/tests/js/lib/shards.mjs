//! A Redis Cluster: masters that share the slots, and replicas of each.

import { common, firstToSay, freePort, Process } from './processes.mjs';
import { until } from './wait.mjs';

const SLOTS = 16_384;

class Cluster {
  /** The master whose slots hold Carillon's own channel of that name, and the slots. */
  async holder(pattern) {
    for (const node of this.nodes.filter(({ child }) => child.exitCode === null && child.signalCode === null)) {
      const channels = (await node.cli('PUBSUB', 'SHARDCHANNELS')).split('\n').filter((channel) => pattern.test(channel));
      if (channels.length === 0) continue;
      const slots = await Promise.all(channels.map((channel) => node.cli('CLUSTER', 'KEYSLOT', channel)));
      return { node, channels, slots: [...new Set(slots.map(Number))] };
    }
    throw new Error(`no node has a channel like ${pattern}`);
  }

  /** Gives a slot to another master, as `redis-cli --cluster reshard` does. */
  async move(slot, from, to) {
    await to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id);
    await from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id);
    for (;;) {
      const keys = (await from.cli('CLUSTER', 'GETKEYSINSLOT', slot, 100)).split('\n').filter(Boolean);
      if (keys.length === 0) break;
      await from.cli('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys);
    }
    for (const node of [to, from]) await node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
  }

  /** Resolves to when another node than `master` became one. */
  promoted(master) {
    return firstToSay(this.nodes.filter((node) => node !== master), 'Failover election won');
  }
}

/** Starts a cluster whose nodes give each other up after `nodeTimeoutMs`; all end with `t`. */
export async function startCluster(t, { masters = 3, replicas = 0, nodeTimeoutMs = 1_000 } = {}) {
  const cluster = new Cluster();
  const node = async () => {
    const [port, bus] = [await freePort(), await freePort()];
    const one = new Process(t, port, (folder) => [
      ...common(port, folder), '--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', String(nodeTimeoutMs), '--repl-diskless-sync-delay', '0',
    ]);
    one.bus = bus;
    await one.start();
    one.id = await one.cli('CLUSTER', 'MYID');
    return one;
  };
  cluster.masters = [];
  cluster.replicas = [];
  for (let at = 0; at < masters; at += 1) cluster.masters.push(await node());
  for (const master of cluster.masters) {
    for (let nth = 0; nth < replicas; nth += 1) cluster.replicas.push(Object.assign(await node(), { of: master }));
  }
  cluster.nodes = [...cluster.masters, ...cluster.replicas];
  const [first, ...others] = cluster.nodes;
  for (const [at, master] of cluster.masters.entries()) {
    const [begin, end] = [at, at + 1].map((nth) => Math.floor(nth * SLOTS / masters));
    await master.cli('CLUSTER', 'ADDSLOTSRANGE', begin, end - 1);
    await master.cli('CLUSTER', 'SET-CONFIG-EPOCH', at + 1);
  }
  for (const other of others) await other.cli('CLUSTER', 'MEET', '127.0.0.1', first.port, first.bus);
  const all = async (text) => (await Promise.all(cluster.nodes.map((one) => one.cli('CLUSTER', 'INFO')))).every((info) => text.every((line) => info.includes(line)));
  await until(() => all([`cluster_known_nodes:${cluster.nodes.length}`]), 'the nodes know each other', 20_000);
  for (const replica of cluster.replicas) {
    await until(() => replica.cli('CLUSTER', 'REPLICATE', replica.of.id).then(() => true, () => false), 'a replica follows its master');
  }
  await until(() => all(['cluster_state:ok', `cluster_size:${masters}`]), 'the cluster works', 20_000);
  await until(async () => (await Promise.all(cluster.replicas.map((one) => one.cli('INFO', 'replication')))).every((info) => info.includes('master_link_status:up')), 'the replicas follow', 20_000);
  // One of them is enough, and tells of the others.
  cluster.url = `redis+cluster://${cluster.masters.map(({ address }) => address).slice(0, 2).join(',')}`;
  return cluster;
}
