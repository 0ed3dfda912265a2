//! The free form of the test page: any event to any namespace, with what the event table knows of it.

import { Manager, type Socket } from 'socket.io-client';
import { example, load, type Contract, type Event } from './contract';
import type { Texts } from './texts';

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
  /** The namespace and the token of the socket. */
  #opened?: [namespace: string, token: string];
  #contract: Contract = { namespaces: [], schemas: {} };
  /** What the form wrote into the payload itself; somebody's own text stays. */
  #written = '';

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

  /** The event that is named, where the table has it. */
  #event(): Event | undefined {
    return this.#takes().find(({ name }) => name === this.#field('event').value);
  }

  #takes(): Event[] {
    return this.#contract.namespaces.find(({ name }) => name === this.#field('namespace').value)?.takes ?? [];
  }

  #complete(): void {
    options(this.form, 'namespaces', this.#contract.namespaces.map(({ name }) => name));
    options(this.form, 'events', this.#takes().map(({ name }) => name));
    const event = this.#event();
    this.sentence.textContent = event?.sentences.join(' ') ?? '';
    const payload = this.#field('payload');
    if (!event || payload.value !== this.#written) return;
    this.#written = JSON.stringify(example(event.payload, this.#contract.schemas), null, 2);
    payload.value = this.#written;
  }

  #send(): void {
    const { say, out } = this;
    const [namespace, event, token, text] = ['namespace', 'event', 'token', 'payload'].map((name) => this.#field(name).value.trim()) as [string, string, string, string];
    let args: unknown[];
    try {
      args = text === '' ? [] : [JSON.parse(text)];
    } catch (error) {
      return out.say(say.notJson((error as Error).message), 'error');
    }
    const socket = this.#open(namespace, token);
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

  /** The client for a namespace and a token; another one ends the one before. */
  #open(namespace: string, token: string): Socket {
    const { say, out } = this;
    const last = this.#socket;
    if (last?.active && this.#opened?.[0] === namespace && this.#opened[1] === token) return last;
    last?.disconnect();
    const auth: Record<string, string> = token === '' ? {} : { token };
    const socket = new Manager(location.origin, { transports: ['websocket', 'polling'] }).socket(namespace, { auth });
    [this.#socket, this.#opened] = [socket, [namespace, token]];
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
