//! The dashboard: how the cluster and the router are, live, as the namespaces tell it.

import type { Socket } from 'socket.io-client';
import type { Ack, Aggregate, Emit, History, Listen, Metrics, Namespaces, NodesStatusResponse, UseHistory } from '../../../docs/reference/types';
import { Alerts } from './alerts';
import { Chart } from './chart';
import { texts } from './dashboard-texts';
import { badge, element, entries, write } from './elements';
import { connect, language, place } from './header';
import { Losses } from './losses';
import { NodePanel } from './node-panel';
import { Nodes } from './nodes';
import { translate } from './phrases';
import { RouterPanel } from './router-panel';
import { Servers } from './servers';
import { refused } from './token';

type Client<N extends keyof Namespaces> = Socket<Listen<N>, Emit<N>>;

const chosen = language(location.search, navigator.language);
const say = texts(chosen);
const number = new Intl.NumberFormat(chosen, { maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(chosen, { maximumFractionDigits: 3 });
const table = (id: string) => element(id) as HTMLTableElement;
/** How long an ack may take. */
const PATIENCE_MS = 10_000;

place(say, chosen);
const nodes = new Nodes(table('nodes'), element('someNodes'), element('noNodes'), say, number, (name) => {
  near.pick(name);
  nodes.mark(near.name);
});
const near = new NodePanel(element('node'), element('nodeTitle'), element('nodeCharts'), say, number, (name) =>
  told<UseHistory>(router.timeout(PATIENCE_MS).emitWithAck('request_node_history', { name })));
const losses = new Losses(element('losing'), element('losses'), say, number);
const alerts = new Alerts(element('alerts'), element('noAlerts'), () => nodes.silent(), () => losses.news, say, chosen);
const servers = new Servers(table('servers'), say, number, chosen);
const panel = new RouterPanel(element('figures'), table('clients'), table('plugins'), say, fine, chosen);
const charts = element('charts');
const use = new Chart(charts, { title: say.use, lines: [say.cpu, say.memory, say.disk], top: 100 }, number);
const temperature = new Chart(charts, { title: say.temperatures, lines: [say.temperature], rare: true }, number);
const traffic = new Chart(charts, { title: say.traffic, lines: [say.eventsIn, say.deliveries, say.lostCopies] }, number);
const fanout = new Chart(charts, { title: say.fanouts, lines: [say.fanout] }, fine);
const connections = new Chart(charts, { title: say.connections, lines: [say.connections] }, number);

// One connection, and sockets whose listeners are added once, however often they reconnect.
const { manager, socket } = connect(chosen);
const health: Client<'/health'> = socket('/health');
const monitoring: Client<'/monitoring'> = socket('/monitoring');
const router: Client<'/router'> = socket('/router');

/** What the server's clock is ahead of this one's; charts go by the server's. */
let ahead = 0;
/** The first metrics after a connection are from before it, and stand in the history. */
let greeted = false;
/** When the server last measured each node, by this computer's clock. */
let measured: Record<string, number> = {};

manager.on('close', () => nodes.resume());
manager.on('open', () => servers.resume());

health.on('health_update', ({ overall_status: status, nodes_online: online, nodes_total: total, issues }) => {
  const words: Record<string, string> = { healthy: say.healthy, warning: say.warning, critical: say.critical };
  badge(element('health'), status !== undefined && status in words ? status : 'unknown', words[status ?? ''] ?? say.unknown);
  element('online').textContent = say.online(number.format(online ?? 0), number.format(total ?? 0));
  entries(element('issues'), (issues ?? []).map((issue) => ({ key: issue, kind: '', parts: [translate(issue, chosen)] })));
});

monitoring.on('connect', () => {
  greeted = false;
  // Whatever greets is on its way before the answer.
  void askNodes().then(() => { greeted = true; });
});
monitoring.on('cluster_metrics', (round) => {
  const live = greeted && !Array.isArray(round.nodes);
  greeted = true;
  const measured = answering(round.nodes ?? {});
  nodes.round(measured, live);
  alerts.draw();
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
monitoring.on('alerts_update', ({ active_alerts: active }) => alerts.update(active ?? []));

/** The nodes that answer. Rounds that whoever asks over HTTP makes the server publish have a list, those that are away included. */
function answering(nodes: Aggregate['nodes']): Record<string, Partial<Metrics>> {
  if (!Array.isArray(nodes)) return nodes;
  const known = nodes.filter(({ status }) => status === 'ready');
  return Object.fromEntries(known.map(({ node, temperature, ...measured }) => [node, { ...measured, temperature: temperature ?? null }]));
}

/** What an ack tells; nothing where there is none in time, or a refusal. */
async function told<T>(ack: Promise<Ack<T>>): Promise<T | undefined> {
  const answer = await ack.catch(() => undefined);
  return answer?.ok ? answer.data : undefined;
}

async function askNodes(): Promise<void> {
  const answer = await told<NodesStatusResponse>(monitoring.timeout(PATIENCE_MS).emitWithAck('request_nodes_status', {}));
  if (!answer) return;
  nodes.know(answer.data.map(({ node }) => node));
  remember();
}

async function askHistory(): Promise<void> {
  const answer = await told<History>(router.timeout(PATIENCE_MS).emitWithAck('request_history', {}));
  if (!answer) return;
  const { router: seconds, cluster } = answer;
  use.history(cluster.time, [cluster.cpu, cluster.memory, cluster.disk]);
  temperature.history(cluster.time, [cluster.temperature]);
  traffic.history(seconds.time, [seconds.events_in, seconds.deliveries, seconds.lost]);
  fanout.history(seconds.time, [seconds.fanout_ms]);
  connections.history(seconds.time, [seconds.connections]);
  losses.history(seconds.time, seconds.lost);
  // Its newest second is the server's now.
  ahead = (seconds.time.at(-1) ?? Date.now()) - Date.now();
  measured = Object.fromEntries(Object.entries(answer.nodes).map(([name, time]) => [name, time - ahead]));
  remember();
}

/** Two answers tell of the nodes, in either order: one that they are there, the other when they were measured. */
function remember(): void {
  nodes.remember(measured);
  alerts.draw();
}

router.on('connect', () => {
  element('noRouter').hidden = true;
  void askHistory();
  void near.load();
});
// A connection that fails, or a token that is asked for, is another matter: this is about a namespace that stays away.
router.on('connect_error', (error) => {
  const code = refused(router, error);
  if (!code) return;
  element('noRouter').textContent = code === 'forbidden' ? say.routerClosed : say.noRouter;
  element('noRouter').hidden = false;
});
router.on('router_state', (state) => {
  const time = Date.parse(state.timestamp);
  ahead = time - Date.now();
  panel.show(state);
  losses.add(time, state.lost, state.slow);
  alerts.draw();
  badge(element('busState'), state.bus.up ? 'healthy' : 'critical', state.bus.up ? say.up : say.down);
  write(element('busDetail'), `${state.bus.kind} (${state.bus.detail})`);
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
  alerts.draw();
}, 1000);
