//! The dashboard: how the cluster and the router are, live, as the namespaces tell it.

import type { Socket } from 'socket.io-client';
import type { Ack, Aggregate, Alert, Emit, History, Listen, Metrics, Namespaces, NodesStatusResponse, UseHistory } from '../../../docs/reference/types';
import { Chart } from './chart';
import { texts } from './dashboard-texts';
import { badge, element } from './elements';
import { connect, language, place } from './header';
import { Losses } from './losses';
import { NodePanel } from './node-panel';
import { Nodes } from './nodes';
import { translate } from './phrases';
import { RouterPanel } from './router-panel';
import { Servers } from './servers';

type Client<N extends keyof Namespaces> = Socket<Listen<N>, Emit<N>>;

const chosen = language(location.search, navigator.language);
const say = texts(chosen);
const number = new Intl.NumberFormat(chosen, { maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(chosen, { maximumFractionDigits: 3 });
const table = (id: string) => element(id) as HTMLTableElement;
const clock = (time: number) => new Date(time).toLocaleTimeString(chosen);

place(say, chosen);
const nodes = new Nodes(table('nodes'), element('noNodes'), say, number, (name) => {
  near.pick(name);
  nodes.mark(near.name);
});
const near = new NodePanel(element('node'), element('nodeTitle'), element('nodeCharts'), say, number, askNode);
const losses = new Losses(element('losing'), element('losses'), say, number);
const servers = new Servers(table('servers'), say, number, chosen);
const panel = new RouterPanel(element('figures'), table('clients'), table('plugins'), say, fine, chosen);
const charts = element('charts');
const use = new Chart(charts, { title: say.use, lines: [say.cpu, say.memory, say.disk], top: 100 }, number);
const temperature = new Chart(charts, { title: say.temperatures, lines: [say.temperature] }, number);
const traffic = new Chart(charts, { title: say.traffic, lines: [say.eventsIn, say.deliveries, say.lostCopies] }, number);
const fanout = new Chart(charts, { title: say.fanouts, lines: [say.fanout] }, fine);
const connections = new Chart(charts, { title: say.connections, lines: [say.connections] }, number);

// One connection, and sockets whose listeners are added once, however often they reconnect.
const manager = connect(chosen);
const health: Client<'/health'> = manager.socket('/health');
const monitoring: Client<'/monitoring'> = manager.socket('/monitoring');
const router: Client<'/router'> = manager.socket('/router');

/** What the server's clock is ahead of this one's; charts go by the server's. */
let ahead = 0;
/** The first metrics after a connection are from before it, and stand in the history. */
let greeted = false;
let alerts: Alert[] = [];
/** Since when each alert holds, as far as this page knows. */
const since = new Map<string, number>();

manager.on('close', () => nodes.resume());
manager.on('open', () => servers.resume());

health.on('health_update', ({ overall_status: status, nodes_online: online, nodes_total: total, issues }) => {
  const words: Record<string, string> = { healthy: say.healthy, warning: say.warning, critical: say.critical };
  badge(element('health'), status !== undefined && status in words ? status : 'unknown', words[status ?? ''] ?? say.unknown);
  element('online').textContent = say.online(number.format(online ?? 0), number.format(total ?? 0));
  list(element('issues'), (issues ?? []).map((issue) => ({ key: issue, kind: '', parts: [translate(issue, chosen)] })));
});

monitoring.on('connect', () => {
  greeted = false;
  void askNodes();
});
monitoring.on('cluster_metrics', (round) => {
  const listed = Array.isArray(round.nodes);
  const live = greeted && !listed;
  greeted = true;
  const measured = listed ? named(round.nodes as unknown as Listed[]) : round.nodes ?? {};
  nodes.round(measured, live);
  showAlerts();
  const stats = round.cluster_stats;
  if (live) {
    const disks = Object.values(measured).flatMap((node) => node.disk_usage ?? []);
    const disk = disks.length > 0 ? disks.reduce((sum, one) => sum + one, 0) / disks.length : null;
    use.add(Date.now() + ahead, [stats?.avg_cpu ?? null, stats?.avg_memory ?? null, disk]);
    temperature.add(Date.now() + ahead, [stats?.avg_temperature ?? null]);
    near.add(Date.now() + ahead, measured);
  }
  // Somebody was added, or taken out of the settings.
  if (stats?.total_nodes !== undefined && stats.total_nodes !== nodes.size) void askNodes();
});
monitoring.on('alerts_update', ({ active_alerts: active }) => {
  alerts = active ?? [];
  showAlerts();
});

/** A node as lists have it. */
type Listed = Metrics & { node: string; status: string };

/** The rounds that whoever asks over HTTP makes the server publish have a list of nodes, those that are away included. */
function named(nodes: Listed[]): Aggregate['nodes'] {
  return Object.fromEntries(nodes.filter(({ status }) => status === 'ready').map((node) => [node.node, node]));
}

async function askNodes(): Promise<void> {
  const answer: Ack<NodesStatusResponse> | undefined = await monitoring.timeout(10_000).emitWithAck('request_nodes_status', {}).catch(() => undefined);
  if (answer?.ok) nodes.know(answer.data.data.map(({ node }) => node));
}

async function askNode(name: string): Promise<UseHistory | undefined> {
  const answer: Ack<UseHistory> | undefined = await router.timeout(10_000).emitWithAck('request_node_history', { name }).catch(() => undefined);
  return answer?.ok ? answer.data : undefined;
}

/** The server's alerts, and the nodes that are silent, each with the time since when. */
function showAlerts(): void {
  const silent = nodes.silent().map(({ name, since: at }) => ({ id: `silent ${name}`, type: 'critical', message: say.silent(name), at }));
  for (const { id } of alerts) if (!since.has(id)) since.set(id, Date.now());
  for (const id of since.keys()) if (!alerts.some((alert) => alert.id === id)) since.delete(id);
  const all = [...silent, ...alerts.map((alert) => ({ ...alert, message: translate(alert.message, chosen), at: since.get(alert.id) ?? Date.now() }))];
  list(element('alerts'), all.map(({ id, type, message, at }) => {
    const critical = type === 'critical';
    return { key: id, kind: critical ? 'critical' : 'warning', parts: [critical ? say.critical : say.warning, message, say.since(clock(at))] };
  }));
  element('noAlerts').hidden = all.length > 0;
}

/** Writes the entries of a list; those that are there already are left alone, so that nobody hears them twice. */
function list(box: HTMLElement, entries: { key: string; kind: string; parts: string[] }[]): void {
  const there = new Map([...box.children].map((item) => [(item as HTMLElement).dataset.key, item as HTMLElement]));
  for (const { key, kind, parts } of entries) {
    const item = there.get(key) ?? document.createElement('li');
    if (item.textContent !== parts.join(' ')) {
      item.replaceChildren(...parts.flatMap((part, at) => {
        const span = document.createElement(kind !== '' && at === 0 ? 'strong' : 'span');
        span.textContent = part;
        if (kind !== '' && at === 0) span.className = `badge ${kind}`;
        return at === 0 ? [span] : [' ', span];
      }));
    }
    item.dataset.key = key;
    if (!item.isConnected) box.append(item);
    there.delete(key);
  }
  for (const item of there.values()) item.remove();
}

router.on('connect', async () => {
  element('noRouter').hidden = true;
  const answer: Ack<History> | undefined = await router.timeout(10_000).emitWithAck('request_history', {}).catch(() => undefined);
  if (!answer?.ok) return;
  const { router: seconds, cluster } = answer.data;
  use.history(cluster.time, [cluster.cpu, cluster.memory, cluster.disk]);
  temperature.history(cluster.time, [cluster.temperature]);
  traffic.history(seconds.time, [seconds.events_in, seconds.deliveries, seconds.lost]);
  fanout.history(seconds.time, [seconds.fanout_ms]);
  connections.history(seconds.time, [seconds.connections]);
  losses.history(seconds.time, seconds.lost);
  void near.load();
});
// A connection that fails is another matter: this is about a server without the namespace.
router.on('connect_error', () => { if (!router.active) element('noRouter').hidden = false; });
router.on('router_state', (state) => {
  const time = Date.parse(state.timestamp);
  ahead = time - Date.now();
  panel.show(state);
  losses.add(time, state.lost, state.slow);
  const kinds = { ready: 'healthy', degraded: 'warning', unready: 'critical' };
  badge(element('router'), kinds[state.status] ?? 'unknown', say[state.status] ?? say.unknown);
  traffic.add(time, [state.events_in, state.deliveries, state.lost]);
  fanout.add(time, [state.fanout_ms ?? null]);
  connections.add(time, [state.connections]);
});
router.on('server_state', (state) => servers.hear(state));

element('filter').addEventListener('input', () => nodes.filter((element('filter') as HTMLInputElement).value));
// Seconds pass, and a node falls silent, also while nothing comes. What is from before a loss stays as it was.
setInterval(() => {
  if (document.body.dataset.connection !== 'connected') return;
  nodes.draw();
  servers.draw();
  showAlerts();
}, 1000);
