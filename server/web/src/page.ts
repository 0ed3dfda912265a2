//! The test page: connects to the three namespaces of live monitoring and shows everything they say.

import { io, type Socket } from 'socket.io-client';
import { Lines, type Kind } from './lines';
import { language, texts, type Texts } from './texts';

const ATTEMPTS = 5;

const chosen = language(location.search, navigator.language);
const say = texts(chosen);
const number = new Intl.NumberFormat(chosen);

const element = (id: string) => document.getElementById(id) as HTMLElement;
const button = (id: string) => element(id) as HTMLButtonElement;

const lines = new Lines(element('output'), element('removed'), {
  cut: (count) => say.cut(number.format(count)),
  removed: (count, kept) => say.removed(number.format(count), number.format(kept)),
});
const log = (text: string, kind: Kind = 'info') => lines.add(text, kind);
/** As the page always wrote it: an event without data is `undefined`. */
const json = (data: unknown) => String(JSON.stringify(data, null, 2));

// The sockets are made once and their listeners added once, however often they reconnect: one event, one line.
const root = io(location.origin, {
  autoConnect: false,
  transports: ['websocket', 'polling'],
  reconnection: true,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
  reconnectionAttempts: ATTEMPTS,
});
const health = root.io.socket('/health');
const monitoring = root.io.socket('/monitoring');
const sockets = [root, health, monitoring];
/** The id this client is known by; `socket.id` is a secret handle of the session and no one's to see. */
let id: string | undefined;

function status(style: 'disconnected' | 'connecting' | 'connected', text: string): void {
  element('status').className = `status ${style}`;
  element('status').textContent = text;
}

function showConnected(): void {
  status('connected', id === undefined ? say.connected : say.connectedAs + id);
}

function enable(connected: boolean): void {
  button('connectBtn').disabled = connected;
  for (const id of ['disconnectBtn', 'healthBtn', 'nodesBtn', 'clusterBtn']) button(id).disabled = !connected;
}

function connect(): void {
  status('connecting', say.connecting);
  log(say.attempt(location.origin));
  // An attempt that waits for its turn is given up for this one.
  for (const socket of sockets) socket.disconnect();
  root.connect();
}

function disconnect(): void {
  for (const socket of sockets) socket.disconnect();
  log(say.endedByHand);
  status('disconnected', say.disconnected);
  enable(false);
}

function ask(socket: Socket, namespace: string, event: string, what: string): void {
  if (!socket.connected) return log(say.absent(namespace), 'error');
  log(say.asking(what));
  socket.emit(event, {});
}

root.on('connect', () => {
  log(say.established, 'success');
  showConnected();
  enable(true);
  // After a reconnection they come along by themselves.
  for (const socket of [health, monitoring]) if (!socket.active) socket.connect();
});
root.on('disconnect', (reason) => {
  id = undefined;
  log(say.ended(reason), 'error');
  status('disconnected', say.disconnected);
  enable(false);
});
root.on('connect_error', (error) => {
  log(say.connectError(error.message), 'error');
  status('disconnected', say.failed);
});
root.io.on('reconnect_attempt', () => status('connecting', say.connecting));
root.io.on('reconnect_failed', () => {
  log(say.gaveUp(ATTEMPTS), 'error');
  status('disconnected', say.failed);
});
root.on('connection_confirmed', (data) => {
  id = data?.sid;
  log(say.confirmation(json(data)), 'success');
  if (root.connected) showConnected();
});

/** Shows an event of a socket as a line. */
function show(socket: Socket, event: string, text: (data: string) => string, kind: Kind = 'success'): void {
  socket.on(event, (data: unknown) => log(text(json(data)), kind));
}

show(root, 'redis_cluster_metrics', (data) => say.bus('cluster:metrics', data));
show(root, 'redis_cluster_health', (data) => say.bus('cluster:health', data));
show(root, 'redis_cluster_alerts', (data) => say.bus('cluster:alerts', data), 'error');
show(root, 'redis_celery_metrics', (data) => say.bus('celery:metrics', data));

show(health, 'health_response', (data) => say.answer('Health', data));
show(health, 'health_update', (data) => `WS /health -> health_update: ${data}`);

show(monitoring, 'nodes_status_response', (data) => say.answer('Nodes Status', data));
show(monitoring, 'cluster_status_response', (data) => say.answer('Cluster Status', data));
show(monitoring, 'cluster_metrics', (data) => `WS /monitoring -> cluster_metrics: ${data}`);
show(monitoring, 'alerts_update', (data) => `WS /monitoring -> alerts_update: ${data}`, 'error');

for (const [socket, namespace] of [[health, '/health'], [monitoring, '/monitoring']] as const) {
  socket.on('connect', () => log(say.joined(namespace), 'success'));
  show(socket, 'error', (data) => say.error(namespace, data), 'error');
  // A connection that fails is told once, by the root socket; this is about a namespace that refuses.
  socket.on('connect_error', (error) => { if (!socket.active) log(say.refused(namespace, error.message), 'error'); });
}

button('connectBtn').addEventListener('click', connect);
button('disconnectBtn').addEventListener('click', disconnect);
button('healthBtn').addEventListener('click', () => ask(health, '/health', 'request_health', 'health'));
button('nodesBtn').addEventListener('click', () => ask(monitoring, '/monitoring', 'request_nodes_status', 'nodes status'));
button('clusterBtn').addEventListener('click', () => ask(monitoring, '/monitoring', 'request_cluster_status', 'cluster status'));
button('clearBtn').addEventListener('click', () => lines.clear());

document.documentElement.lang = chosen;
document.title = say.title;
for (const part of document.querySelectorAll<HTMLElement>('[data-text]')) {
  const text = say[part.dataset.text as keyof Texts];
  if (typeof text === 'string') part.textContent = text;
}
document.querySelector(`nav a[hreflang="${chosen}"]`)?.setAttribute('aria-current', 'true');
