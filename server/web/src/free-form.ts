//! The free form of the test page: any event to any namespace, with what the event table knows of it.

import { Manager, type Socket } from 'socket.io-client';
import { example, load, type Contract, type Event, type Namespace, type Schema } from './contract';
import type { Texts } from './texts';
import { shown } from './token';

/** How long an ack may take. */
const PATIENCE_MS = 15_000;

/** Where the form tells what happens. */
export interface Console {
  say(text: string, kind: 'info' | 'success' | 'error'): void;
  message(name: string, data: unknown, kind: 'success' | 'error'): void;
}

/** The form. It has a connection of its own, so that the page's own sockets stay as they are. */
export class FreeForm {
  #socket?: Socket;
  /** The namespace and the `auth` of the socket, as JSON. */
  #opened?: [namespace: string, auth: string];
  #contract: Contract = { namespaces: [], schemas: {} };
  /** What the form wrote into a field itself; somebody's own text stays. */
  #written = new Map<string, string>();

  constructor(private readonly form: HTMLFormElement, private readonly sentence: HTMLElement, private readonly out: Console, private readonly say: Texts) {
    form.addEventListener('submit', (submitted) => {
      submitted.preventDefault();
      this.#send();
    });
    for (const name of ['namespace', 'event']) this.#field(name).addEventListener('input', () => this.#complete());
    // Without the table there is no completion; all else works.
    load().then((contract) => {
      this.#contract = contract;
      this.#complete();
    }, () => {});
  }

  #field(name: string): HTMLInputElement {
    return this.form.elements.namedItem(name) as HTMLInputElement;
  }

  #namespace(): Namespace | undefined {
    return this.#contract.namespaces.find(({ name }) => name === this.#field('namespace').value);
  }

  #complete(): void {
    const namespace = this.#namespace();
    const takes = namespace?.takes ?? [];
    options(this.form, 'namespaces', this.#contract.namespaces.map(({ name }) => name));
    options(this.form, 'events', takes.map(({ name }) => name));
    const event: Event | undefined = takes.find(({ name }) => name === this.#field('event').value);
    this.sentence.textContent = event?.sentences.join(' ') ?? '';
    if (event) this.#suggest('payload', event.payload);
    // What another namespace asks for is not sent to this one.
    if (namespace) this.#suggest('auth', namespace.auth);
  }

  /** Writes an example of a schema into a field, unless somebody has written there. */
  #suggest(name: string, schema?: Schema): void {
    const field = this.#field(name);
    if (field.value !== (this.#written.get(name) ?? '')) return;
    field.value = schema ? JSON.stringify(example(schema, this.#contract.schemas), null, 2) : '';
    this.#written.set(name, field.value);
  }

  #send(): void {
    const { say, out } = this;
    const said = (name: string) => this.#field(name).value.trim();
    const [namespace, event, token] = [said('namespace'), said('event'), said('token')];
    const json = (name: string): unknown[] => (said(name) === '' ? [] : [JSON.parse(said(name))]);
    let args: unknown[];
    let auth: object;
    try {
      args = json('payload');
      auth = shown(Object.assign({}, json('auth')[0], token === '' ? {} : { token }));
    } catch (error) {
      return out.say(say.notJson((error as Error).message), 'error');
    }
    const socket = this.#open(namespace, auth);
    out.say(say.sent(namespace, event), 'info');
    if (!this.#field('ack').checked) {
      socket.emit(event, ...args);
      return;
    }
    socket.timeout(PATIENCE_MS).emitWithAck(event, ...args).then(
      (answer: unknown) => out.message(say.acked(namespace, event), answer, (answer as { ok?: unknown } | null)?.ok === false ? 'error' : 'success'),
      () => out.say(say.late(namespace, event), 'error'),
    );
  }

  /** The client for a namespace and what it shows; another one ends the one before. */
  #open(namespace: string, auth: object): Socket {
    const { say, out } = this;
    const last = this.#socket;
    if (last?.active && this.#opened?.[0] === namespace && this.#opened[1] === JSON.stringify(auth)) return last;
    last?.disconnect();
    const socket = new Manager(location.origin, { transports: ['websocket', 'polling'] }).socket(namespace, { auth });
    [this.#socket, this.#opened] = [socket, [namespace, JSON.stringify(auth)]];
    socket.on('connect', () => out.say(say.joined(namespace), 'success'));
    socket.on('connect_error', (error) => { if (!socket.active) out.say(say.refused(namespace, error.message), 'error'); });
    socket.on('disconnect', (reason) => out.say(`${namespace}: ${say.ended(reason)}`, 'error'));
    socket.onAny((name: string, ...data: unknown[]) => out.message(`${namespace} -> ${name}`, data.length > 1 ? data : data[0], name === 'error' ? 'error' : 'success'));
    return socket;
  }
}

/** Writes what a field may be completed to, unless it says so already. */
function options(form: HTMLFormElement, id: string, names: string[]): void {
  const list = form.querySelector(`#${id}`);
  if (!list || [...list.children].map((one) => (one as HTMLOptionElement).value).join(' ') === names.join(' ')) return;
  list.replaceChildren(...names.map((name) => Object.assign(document.createElement('option'), { value: name })));
}
