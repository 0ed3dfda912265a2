//! The plugins page: every namespace with its events, schemas and live counters, and a call that can be tried.

import type { Socket } from 'socket.io-client';
import type { Emit, EventCounts, Listen, RouterState } from '../../../docs/reference/types';
import { callForm } from './call-form';
import { load, type Contract, type Event, type Namespace } from './contract';
import { element, made, prose, write } from './elements';
import { connect, language, place } from './header';
import { texts } from './plugins-texts';
import { view } from './schema-view';

const chosen = language(location.search, navigator.language);
const say = texts(chosen);
const number = new Intl.NumberFormat(chosen, { maximumFractionDigits: 1 });

const { manager, socket } = connect(chosen);
const router: Socket<Listen<'/router'>, Emit<'/router'>> = socket('/router');

/** Where the figures of a namespace or an event are written. */
const figures = new Map<string, HTMLElement>();
const key = (namespace: string, event = '') => `${namespace} ${event}`;
/** The counts before these, to tell what there is in a second. */
let before: EventCounts | undefined;

/** An entry that opens to the schema of an event, and to a form where clients may send it. */
function entry(namespace: Namespace, event: Event, taken: boolean, { schemas }: Contract): HTMLElement {
  const box = document.createElement('details');
  box.dataset.name = `${namespace.name} ${event.name}`.toLowerCase();
  const head = document.createElement('summary');
  const counts = made('span', '', 'counts live');
  // The same name may be taken and sent: each shows its own side.
  figures.set(key(namespace.name, `${taken ? '<' : '>'}${event.name}`), counts);
  head.append(made('strong', event.name), ' ', ...prose(event.sentences.join(' ')), ' ', counts);
  box.append(head);
  box.addEventListener('toggle', () => {
    if (!box.open || box.childElementCount > 1) return;
    if (event.limit) box.append(made('p', event.limit.per_s === 0 ? say.notLimited : say.limit(number.format(event.limit.per_s), number.format(event.limit.burst))));
    box.append(made('h4', say.carries), view(event.payload, schemas, say));
    if (event.answer) box.append(made('h4', say.answer), view(event.answer, schemas, say));
    if (taken) box.append(callForm(manager, namespace, event, schemas, say));
  });
  return box;
}

function paragraph(text: string): HTMLElement {
  const box = document.createElement('p');
  box.append(...prose(text));
  return box;
}

function section(namespace: Namespace, contract: Contract): HTMLElement {
  const box = document.createElement('section');
  const title = made('h2', `${namespace.name} `);
  title.id = `namespace ${namespace.name}`.replaceAll(/[^a-z0-9]/gi, '-');
  box.setAttribute('aria-labelledby', title.id);
  const clients = made('span', '', 'counts live');
  figures.set(key(namespace.name), clients);
  title.append(clients);
  box.append(title);
  if (namespace.description) box.append(paragraph(namespace.description));
  if (namespace.auth) box.append(made('h3', say.auth), view(namespace.auth, contract.schemas, say));
  for (const [heading, events, taken] of [[say.received, namespace.takes, true], [say.sent, namespace.sends, false]] as const) {
    if (events.length > 0) box.append(made('h3', heading), ...events.map((event) => entry(namespace, event, taken, contract)));
  }
  return box;
}

router.on('connect', () => {
  before = undefined;
  router.emit('watch_events', {}, () => {});
});
router.on('router_state', ({ clients }: RouterState) => {
  for (const { namespace, websocket, polling } of clients) write(figures.get(key(namespace)), say.clients(websocket + polling, number.format(websocket + polling)));
});
router.on('event_counts', (counts: EventCounts) => {
  const seconds = before ? (Date.parse(counts.timestamp) - Date.parse(before.timestamp)) / 1000 : 0;
  const old = new Map(before?.events.map((event) => [key(event.namespace, event.event), event]));
  for (const event of counts.events) {
    const last = old.get(key(event.namespace, event.event));
    const rate = (of: 'received' | 'sent') => (seconds > 0 ? `, ${number.format((event[of] - (last?.[of] ?? 0)) / seconds)}/s` : '');
    const times = (of: 'received' | 'sent') => say.times(event[of], number.format(event[of])) + rate(of);
    const failed = event.failed > 0 ? `, ${say.failures(event.failed, number.format(event.failed))}` : '';
    write(figures.get(key(event.namespace, `<${event.event}`)), times('received') + failed);
    write(figures.get(key(event.namespace, `>${event.event}`)), times('sent'));
  }
  before = counts;
});

/** Shows the events whose name, or whose namespace's, holds what somebody looks for. */
function filter(): void {
  const wanted = (element('filter') as HTMLInputElement).value.trim().toLowerCase();
  for (const box of element('namespaces').querySelectorAll('section')) {
    const entries = [...box.querySelectorAll('details')];
    for (const entry of entries) entry.hidden = !entry.dataset.name?.includes(wanted);
    box.hidden = entries.length > 0 && entries.every((entry) => entry.hidden);
  }
}
element('filter').addEventListener('input', filter);

place(say, chosen);
try {
  const contract = await load();
  element('namespaces').append(...contract.namespaces.map((namespace) => section(namespace, contract)));
  filter();
} catch (error) {
  element('failed').textContent = say.failed(String(error));
  element('failed').hidden = false;
}
