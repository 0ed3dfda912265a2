//! The test page: connects to the three namespaces of live monitoring and shows everything they say.

import { io, type Socket } from 'socket.io-client';
import type { Alerts, Emit, Listen, Namespaces } from '../../../docs/reference/types';
import { copy } from './copy';
import { Counts } from './counts';
import { element } from './elements';
import { FreeForm } from './free-form';
import { language, place, status } from './header';
import { Lines, type Kind } from './lines';
import { translate } from './phrases';
import { texts } from './texts';
import { Door, shown } from './token';

const ATTEMPTS = 5;

type Client<N extends keyof Namespaces> = Socket<Listen<N>, Emit<N>>;

const chosen = language(location.search, navigator.language);
const say = texts(chosen);
const number = new Intl.NumberFormat(chosen);

const button = (id: string) => element(id) as HTMLButtonElement;

let paused = false;
const lines = new Lines(element('output'), element('removed'), {
  cut: (count) => say.cut(number.format(count)),
  removed: (count, kept) => say.removed(number.format(count), number.format(kept)),
  waiting: (count) => {
    if (paused) button('pauseBtn').textContent = count > 0 ? say.resumeAfter(number.format(count)) : say.resume;
  },
});
const counts = new Counts(element('counts'), number, () => filter());
const log = (text: string, kind: Kind = 'info') => lines.add(text, kind);
/** As the page always wrote it: an event without data is `undefined`. Sentences are in the page's language. */
const json = (data: unknown) =>
  String(JSON.stringify(data, (_, value) => (typeof value === 'string' ? translate(value, chosen) : value), 2));

// The sockets are made once and their listeners added once, however often they reconnect: one event, one line.
const root: Client<'/'> = io(location.origin, {
  autoConnect: false,
  transports: ['websocket', 'polling'],
  reconnection: true,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
  reconnectionAttempts: ATTEMPTS,
});
const health: Client<'/health'> = root.io.socket('/health');
const monitoring: Client<'/monitoring'> = root.io.socket('/monitoring');
const sockets = [root, health, monitoring];
/** The id this client is known by; `socket.id` is a secret handle of the session and no one's to see. */
let id: string | undefined;

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
  for (const socket of sockets) {
    socket.disconnect();
    socket.auth = shown();
  }
  root.connect();
}

function disconnect(): void {
  for (const socket of sockets) socket.disconnect();
  log(say.endedByHand);
  status('disconnected', say.disconnected);
  enable(false);
}

function ask<N extends keyof Namespaces>(socket: Client<N>, namespace: N, event: keyof Emit<N> & string, what: string): void {
  if (!socket.connected) return log(say.absent(namespace), 'error');
  log(say.asking(what));
  (socket as Socket).emit(event, {});
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
// Its word comes after that of a connection that fails. Who is let in here has a token for the others.
new Door(say, (text) => status('disconnected', text), connect).watch(root);
root.io.on('reconnect_attempt', () => status('connecting', say.connecting));
root.io.on('reconnect_failed', () => {
  log(say.gaveUp(ATTEMPTS), 'error');
  status('disconnected', say.failed);
});
root.on('connection_confirmed', (data) => {
  id = data.sid;
  lines.message(say.confirmation, json(data), data, 'success');
  if (root.connected) showConnected();
});

/** Shows and counts an event of a socket; `kind` may depend on what it says. */
function show<N extends keyof Namespaces, E extends keyof Listen<N> & string>(
  socket: Client<N>,
  event: E,
  name: string,
  kind: (data: unknown) => Kind = () => 'success',
): void {
  (socket as Socket).on(event as string, (data: unknown) => {
    counts.count(name);
    lines.message(name, json(data), data, kind(data));
  });
}

/** Alerts look like errors when there are any. */
const alarming = (data: unknown): Kind => {
  const { alert_count: count = 0, active_alerts: active = [] } = (data ?? {}) as Partial<Alerts>;
  return count > 0 || active.length > 0 ? 'error' : 'success';
};

show(root, 'redis_cluster_metrics', say.bus('cluster:metrics'));
show(root, 'redis_cluster_health', say.bus('cluster:health'));
show(root, 'redis_cluster_alerts', say.bus('cluster:alerts'), alarming);
show(root, 'redis_celery_metrics', say.bus('celery:metrics'));

show(health, 'health_response', say.answer('Health'));
show(health, 'health_update', 'WS /health -> health_update');

show(monitoring, 'nodes_status_response', say.answer('Nodes Status'));
show(monitoring, 'cluster_status_response', say.answer('Cluster Status'));
show(monitoring, 'cluster_metrics', 'WS /monitoring -> cluster_metrics');
show(monitoring, 'alerts_update', 'WS /monitoring -> alerts_update', alarming);

for (const [socket, namespace] of [[health, '/health'], [monitoring, '/monitoring']] as const) {
  // All of these each namespace has.
  const plain = socket as Socket;
  plain.on('connect', () => log(say.joined(namespace), 'success'));
  show(socket as Client<'/health'>, 'error', say.error(namespace), () => 'error');
  // A connection that fails is told once, by the root socket; this is about a namespace that refuses.
  plain.on('connect_error', (error) => { if (!socket.active) log(say.refused(namespace, error.message), 'error'); });
}

button('connectBtn').addEventListener('click', connect);
button('disconnectBtn').addEventListener('click', disconnect);
button('healthBtn').addEventListener('click', () => ask(health, '/health', 'request_health', 'health'));
button('nodesBtn').addEventListener('click', () => ask(monitoring, '/monitoring', 'request_nodes_status', 'nodes status'));
button('clusterBtn').addEventListener('click', () => ask(monitoring, '/monitoring', 'request_cluster_status', 'cluster status'));
button('clearBtn').addEventListener('click', () => {
  lines.clear();
  counts.clear();
});
button('pauseBtn').addEventListener('click', () => {
  paused = !paused;
  button('pauseBtn').textContent = paused ? say.resume : say.pause;
  button('pauseBtn').setAttribute('aria-pressed', String(paused));
  if (paused) lines.pause();
  else lines.resume();
});
button('copyBtn').addEventListener('click', async () => {
  const shown = lines.shown();
  await copy(shown.join('\n'));
  button('copyBtn').textContent = say.copied(number.format(shown.length));
  setTimeout(() => { button('copyBtn').textContent = say.copy; }, 2000);
});
element('filter').addEventListener('input', () => filter());

new FreeForm(document.querySelector<HTMLFormElement>('#free form')!, element('sentence'), {
  say: log,
  message: (name, data, kind) => {
    counts.count(name);
    lines.message(name, json(data), data, kind);
  },
}, say);

/** Shows the lines that hold the text somebody looks for, of the events that are not hidden. */
function filter(): void {
  const wanted = (element('filter') as HTMLInputElement).value.trim().toLowerCase();
  const holds = (text: string) => text.toLowerCase().includes(wanted);
  lines.filter((names, text) => counts.shows(names) && (wanted === '' || holds(text) || names.some(holds)));
}

place(say, chosen);
status('disconnected', say.disconnected);
