//! A server that asks who connects: the token or key of a page's user, for all its sockets, and the form that asks for it.

import type { Manager, Socket } from 'socket.io-client';
import { element } from './elements';

/** Where it is kept: for the pages of this tab, until that is closed. */
const KEPT = 'carillon.token';
/** How long a page waits before it tries again, where the server does not say. */
const AGAIN_MS = 2000;

/** What the page says. */
export interface Words {
  asked: string;
  notAccepted: string;
}

/** Why a server refuses a namespace; an error of the connection says nothing of it. */
interface Refusal extends Error { data?: { code?: string; retryable?: boolean; retry_after_ms?: number } }

/** Whether the server wants another token, or one at all. */
const unauthorized = (error: Refusal) => error.data?.code === 'unauthorized';

/** Why the server refuses a namespace for good, whatever token is shown next; nothing while that is not so. */
export function refused(socket: Socket, error: Refusal): string | undefined {
  const { code = 'not_found', retryable } = error.data ?? {};
  return socket.active || retryable || unauthorized(error) ? undefined : code;
}

const kept = () => sessionStorage.getItem(KEPT) ?? '';

/** What a socket says of who connects: what is written for it, and the page's token where that has none. */
export function shown(auth: object = {}): Record<string, unknown> {
  const { token, ...others } = auth as Record<string, unknown>;
  const text = token ?? kept();
  return text === '' ? others : { ...others, token: text };
}

/** Lets the sockets of a page in. */
export class Door {
  readonly #waiting = new Set<Socket>();
  readonly #form = element('token') as HTMLFormElement;

  /** `tell` is told what the page says; `enter` connects a socket that was refused. */
  constructor(private readonly say: Words, private readonly tell: (text: string) => void, private readonly enter = (socket: Socket) => { socket.connect(); }) {
    this.#form.addEventListener('submit', (submitted) => {
      submitted.preventDefault();
      sessionStorage.setItem(KEPT, (this.#form.elements.namedItem('token') as HTMLInputElement).value.trim());
      this.#form.reset();
      this.#form.hidden = true;
      const sockets = [...this.#waiting];
      this.#waiting.clear();
      for (const socket of sockets) this.#enter(socket);
    });
  }

  /** A socket that shows the token, and waits for another one where that is not accepted. */
  socket(manager: Manager, namespace: string): Socket {
    return this.watch(manager.socket(namespace, { auth: shown() }));
  }

  watch(socket: Socket): Socket {
    socket.on('connect_error', (error: Refusal) => {
      if (socket.active) return;
      if (unauthorized(error)) this.#ask(socket);
      // Nothing else tries again: to the client, who was refused is done.
      else if (error.data?.retryable) setTimeout(() => { if (!socket.active) this.#enter(socket); }, error.data.retry_after_ms ?? AGAIN_MS);
    });
    return socket;
  }

  #ask(socket: Socket): void {
    this.#waiting.add(socket);
    this.#form.hidden = false;
    this.tell(kept() === '' ? this.say.asked : this.say.notAccepted);
  }

  #enter(socket: Socket): void {
    socket.auth = shown();
    this.enter(socket);
  }
}
