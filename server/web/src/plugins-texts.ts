//! Every text of the plugins page in French and in English. What the plugins say of themselves is as they say it.

import { HEADER, type Language } from './header';

const fr = {
  ...HEADER.fr,
  title: 'Plugins',
  intro: "Chaque namespace, ce qu'il comprend et ce qu'il dit, tel que ce serveur le déclare.",
  filter: 'Filtrer par nom',
  failed: (why: string) => `La table des événements n'a pas pu être lue : ${why}`,
  received: 'Ce que les clients envoient',
  sent: 'Ce que les clients reçoivent',
  limit: (perSecond: string, burst: string) => `Limite : ${perSecond} par seconde, ${burst} à la fois.`,
  notLimited: 'Sans limite.',
  carries: 'Contenu',
  answer: 'Réponse',
  auth: 'Demandé à la connexion (auth)',
  clients: (count: number, text: string) => `${text} ${count > 1 ? 'clients' : 'client'}`,
  times: (_: number, count: string) => `${count} fois`,
  failures: (count: number, text: string) => `${text} ${count > 1 ? 'échecs' : 'échec'}`,
  payload: 'Contenu (JSON)',
  authToSend: 'auth (JSON)',
  call: 'Appeler',
  calling: 'Envoyé...',
  answered: (milliseconds: string) => `Réponse après ${milliseconds} ms`,
  refused: (namespace: string, message: string) => `${namespace} refuse la connexion : ${message}`,
  notJson: (message: string) => `Ce n'est pas du JSON : ${message}`,
  late: "Pas de réponse à temps.",
  anything: "n'importe quoi",
  ignored: "n'importe quoi, n'est pas lu",
  optional: 'facultatif',
};

/** What the page says in one language. */
export type Texts = typeof fr;

const en: Texts = {
  ...HEADER.en,
  title: 'Plugins',
  intro: 'Every namespace, what it takes and what it says, as this server declares it.',
  filter: 'Filter by name',
  failed: (why) => `The event table could not be read: ${why}`,
  received: 'What clients send',
  sent: 'What clients are sent',
  limit: (perSecond, burst) => `Limit: ${perSecond} a second, ${burst} at once.`,
  notLimited: 'Not limited.',
  carries: 'Payload',
  answer: 'Answer',
  auth: 'Asked for when connecting (auth)',
  clients: (count, text) => `${text} ${count === 1 ? 'client' : 'clients'}`,
  times: (of, count) => (of === 1 ? 'once' : `${count} times`),
  failures: (count, text) => `${text} ${count === 1 ? 'failure' : 'failures'}`,
  payload: 'Payload (JSON)',
  authToSend: 'auth (JSON)',
  call: 'Call',
  calling: 'Sent...',
  answered: (milliseconds) => `Answered after ${milliseconds} ms`,
  refused: (namespace, message) => `${namespace} refuses the connection: ${message}`,
  notJson: (message) => `That is not JSON: ${message}`,
  late: 'No answer in time.',
  anything: 'anything',
  ignored: 'anything, not looked at',
  optional: 'optional',
};

/** The texts of a language. */
export function texts(language: Language): Texts {
  return { fr, en }[language];
}
