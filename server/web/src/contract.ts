//! The event table of the server, as /asyncapi.json has it, in the order of a reader: namespaces, and what each takes and sends.

/** A JSON schema, as far as a page looks into it. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  examples?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  minLength?: number;
  format?: string;
  /** `ignored`: whatever is sent is not looked at. */
  'x-arguments'?: string;
}

/** One event. */
export interface Event {
  name: string;
  /** What it is for; one sentence for each plugin that sends it. */
  sentences: string[];
  payload: Schema;
  /** What the ack of a call holds. */
  answer?: Schema;
  /** How often it may be sent, where it has a limit of its own; 0 a second is none. */
  limit?: Limit;
}

interface Limit { per_s: number; burst: number }

/** One namespace. */
export interface Namespace {
  name: string;
  description?: string;
  /** What it wants in `auth` when a client connects. */
  auth?: Schema;
  takes: Event[];
  sends: Event[];
}

/** Everything there is, and the schemas by their name. */
export interface Contract {
  namespaces: Namespace[];
  schemas: Record<string, Schema>;
}

interface Message { name: string; payload?: Schema }
interface Reference { $ref: string }
interface Operation { action: 'send' | 'receive'; channel: Reference; messages: Reference[]; reply?: { messages: Reference[] }; summary?: string; 'x-limit'?: Limit }
interface Document {
  channels: Record<string, { address: string; description?: string; messages: Record<string, Message>; 'x-auth'?: Schema }>;
  operations: Record<string, Operation>;
  components?: { schemas?: Record<string, Schema> };
}

/** Asks the server what it serves. */
export async function load(): Promise<Contract> {
  const response = await fetch('/asyncapi.json');
  if (!response.ok) throw new Error(`/asyncapi.json: ${response.status}`);
  return read((await response.json()) as Document);
}

function read({ channels, operations, components }: Document): Contract {
  const last = ({ $ref }: Reference) => decodeURIComponent($ref.split('/').at(-1) ?? '').replace(/~1/g, '/').replace(/~0/g, '~');
  const namespaces = new Map<string, Namespace>();
  for (const [key, channel] of Object.entries(channels)) {
    namespaces.set(key, { name: channel.address, description: channel.description, auth: channel['x-auth'], takes: [], sends: [] });
  }
  for (const { action, channel, messages, reply, summary, 'x-limit': limit } of Object.values(operations)) {
    const key = last(channel);
    const find = (reference?: Reference) => (reference ? channels[key]?.messages[last(reference)] : undefined);
    const message = find(messages[0]);
    const namespace = namespaces.get(key);
    if (!message || !namespace) continue;
    const events = action === 'receive' ? namespace.takes : namespace.sends;
    const sentences = summary ? [summary] : [];
    const there = events.find(({ name }) => name === message.name);
    if (there) there.sentences.push(...sentences.filter((one) => !there.sentences.includes(one)));
    else events.push({ name: message.name, sentences, payload: message.payload ?? {}, answer: data(find(reply?.messages[0])?.payload), limit });
  }
  const sorted = [...namespaces.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  return { namespaces: sorted, schemas: components?.schemas ?? {} };
}

/** What an ack holds when all went well: the envelope is the same for all. */
function data(answer: Schema | undefined): Schema | undefined {
  return answer?.oneOf?.find(({ properties }) => properties?.ok?.const === true)?.properties?.data ?? answer;
}

/** The schema itself, where only its name is written. */
export function resolve(schema: Schema, schemas: Record<string, Schema>): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : schemas[decodeURIComponent(name)] ?? {};
}

/** How deep a schema is looked into: it may hold itself. */
const DEEPEST = 6;

/** A value that the schema lets pass, for somebody to change. */
export function example(schema: Schema, schemas: Record<string, Schema>, depth = 0): unknown {
  const it = resolve(schema, schemas);
  if (it['x-arguments'] !== undefined) return {};
  if (it.examples?.length) return it.examples[0];
  for (const value of [it.const, it.default, it.enum?.[0]]) if (value !== undefined) return value;
  const choice = it.oneOf?.[0] ?? it.anyOf?.find(({ type }) => type !== 'null');
  if (choice && depth < DEEPEST) return example(choice, schemas, depth + 1);
  if (it.allOf && depth < DEEPEST) {
    const parts = it.allOf.map((part) => example(part, schemas, depth + 1));
    return parts.length === 1 ? parts[0] : Object.assign({}, ...parts);
  }
  const type = Array.isArray(it.type) ? it.type.find((one) => one !== 'null') : it.type;
  switch (type) {
    case 'string': return it.format === 'date-time' ? new Date(0).toISOString() : 'text'.padEnd(it.minLength ?? 0, '.');
    case 'integer': case 'number': return it.minimum ?? 0;
    case 'boolean': return false;
    case 'array': return it.items && depth < DEEPEST ? [example(it.items, schemas, depth + 1)] : [];
    case 'object': return object(it, schemas, depth);
    default: return it.properties ? object(it, schemas, depth) : {};
  }
}

/** What has to be there, and what may be, as long as that ends. */
function object(schema: Schema, schemas: Record<string, Schema>, depth: number): Record<string, unknown> {
  const needed = new Set(schema.required);
  const fields = Object.entries(schema.properties ?? {}).filter(([name]) => depth < DEEPEST && (needed.has(name) || depth < 2));
  return Object.fromEntries(fields.map(([name, field]) => [name, example(field, schemas, depth + 1)]));
}
