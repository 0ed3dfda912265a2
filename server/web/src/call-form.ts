//! A form that sends one event, and shows what it is answered.

import type { Manager, Socket } from 'socket.io-client';
import { example, type Event, type Namespace, type Schema } from './contract';
import { made } from './elements';
import { shown } from './token';

/** How long an answer, or a namespace's word, may take. */
const PATIENCE_MS = 15_000;

/** What the form says. */
export interface Words {
  payload: string;
  authToSend: string;
  call: string;
  calling: string;
  answered: (milliseconds: string) => string;
  refused: (namespace: string, message: string) => string;
  notJson: (message: string) => string;
  late: string;
}

/** The form, filled with an example that the schema lets pass. */
export function callForm(manager: Manager, namespace: Namespace, event: Event, schemas: Record<string, Schema>, say: Words): HTMLElement {
  const form = document.createElement('form');
  const payload = field(form, say.payload, example(event.payload, schemas));
  const auth = namespace.auth ? field(form, say.authToSend, example(namespace.auth, schemas)) : undefined;
  const button = made('button', say.call);
  const answer = document.createElement('pre');
  answer.setAttribute('role', 'status');
  answer.tabIndex = 0;
  answer.setAttribute('aria-label', event.name);
  answer.hidden = true;
  form.append(button, answer);
  const show = (text: string, kind: string) => {
    answer.hidden = false;
    answer.className = kind;
    answer.textContent = text;
  };
  form.addEventListener('submit', async (submitted) => {
    submitted.preventDefault();
    let values: [unknown, Record<string, unknown>];
    try {
      values = [JSON.parse(payload.value), shown(auth ? (JSON.parse(auth.value) as object) : {})];
    } catch (error) {
      return show(say.notJson((error as Error).message), 'bad');
    }
    button.disabled = true;
    show(say.calling, '');
    try {
      const socket = await join(manager, namespace.name, values[1], say);
      const begun = performance.now();
      const said: unknown = await socket.timeout(PATIENCE_MS).emitWithAck(event.name, values[0]).catch(() => Promise.reject(new Error(say.late)));
      const failed = (said as { ok?: unknown } | null)?.ok === false;
      show(`${say.answered((performance.now() - begun).toFixed(1))}\n${JSON.stringify(said, null, 2)}`, failed ? 'bad' : 'good');
    } catch (error) {
      show((error as Error).message, 'bad');
    }
    button.disabled = false;
  });
  return form;
}

function field(form: HTMLElement, name: string, value: unknown): HTMLTextAreaElement {
  const area = document.createElement('textarea');
  area.value = JSON.stringify(value, null, 2);
  area.rows = Math.min(12, area.value.split('\n').length + 1);
  area.spellcheck = false;
  const label = document.createElement('label');
  label.append(name, area);
  form.append(label);
  return area;
}

/** The clients of the forms by their namespace: asking the manager again would connect them with the `auth` they had. */
const clients = new Map<string, Socket>();

/** A client of the namespace, connected; with what it wants to know of who connects. */
async function join(manager: Manager, namespace: string, auth: Record<string, unknown>, say: Words): Promise<Socket> {
  // The first CONNECT may leave at once.
  const socket = clients.get(namespace) ?? manager.socket(namespace, { auth });
  clients.set(namespace, socket);
  if (JSON.stringify(auth) !== JSON.stringify(socket.auth ?? {})) {
    // Who connects says so once: others connect again.
    socket.disconnect();
    socket.auth = auth;
  }
  if (socket.connected) return socket;
  const joined = new Promise<void>((done, fail) => {
    const timer = setTimeout(() => fail(new Error(say.late)), PATIENCE_MS);
    const end = (then: () => void) => {
      clearTimeout(timer);
      socket.off('connect', good).off('connect_error', bad);
      then();
    };
    const good = () => end(done);
    const bad = (error: Error) => end(() => fail(new Error(say.refused(namespace, error.message))));
    socket.on('connect', good).on('connect_error', bad);
  });
  socket.connect();
  await joined;
  return socket;
}
