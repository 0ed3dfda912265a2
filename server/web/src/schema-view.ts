//! A schema for people: its fields with their types and sentences.

import { resolve, type Schema } from './contract';
import { made, prose } from './elements';

/** How deep fields are shown within fields. */
const DEEPEST = 5;

/** The words for what has no name of its own. */
export interface Words {
  anything: string;
  ignored: string;
  optional: string;
}

/** The schema as a list of fields, each with its own where it has any. */
export function view(schema: Schema, schemas: Record<string, Schema>, say: Words, depth = 0): HTMLElement {
  const it = resolve(schema, schemas);
  const box = document.createElement('div');
  box.className = 'schema';
  if (depth === 0) box.append(line(undefined, schema, schemas, say, true));
  const fields = fieldsOf(it, schemas);
  if (fields.length === 0 || depth >= DEEPEST) return box;
  const list = document.createElement('ul');
  for (const [name, field, needed] of fields) {
    const item = document.createElement('li');
    item.append(line(name, field, schemas, say, needed));
    const within = innermost(resolve(field, schemas), schemas);
    if (fieldsOf(within, schemas).length > 0 && depth + 1 < DEEPEST) item.append(view(within, schemas, say, depth + 1));
    list.append(item);
  }
  box.append(list);
  return box;
}

/** Of a list, or of a choice, what is in it; of several choices, what is in the first. */
function innermost(schema: Schema, schemas: Record<string, Schema>): Schema {
  const some = schema.anyOf?.filter(({ type }) => type !== 'null') ?? [];
  if (some[0]) return innermost(resolve(some[0], schemas), schemas);
  if (schema.items) return innermost(resolve(schema.items, schemas), schemas);
  if (typeof schema.additionalProperties === 'object' && !schema.properties) return innermost(resolve(schema.additionalProperties, schemas), schemas);
  if (schema.allOf?.length === 1 && schema.allOf[0]) return innermost(resolve(schema.allOf[0], schemas), schemas);
  return schema;
}

/** The fields, and whether each has to be there; of several schemas that all hold, those of each. */
function fieldsOf(schema: Schema, schemas: Record<string, Schema>): [string, Schema, boolean][] {
  const it = innermost(schema, schemas);
  const own = Object.entries(it.properties ?? {}).map(([name, field]): [string, Schema, boolean] => [name, field, it.required?.includes(name) ?? false]);
  return [...own, ...(it.allOf ?? []).flatMap((part) => fieldsOf(resolve(part, schemas), schemas))];
}

function line(name: string | undefined, schema: Schema, schemas: Record<string, Schema>, say: Words, needed: boolean): HTMLElement {
  const text = document.createElement('span');
  if (name !== undefined) text.append(made('strong', name), needed ? ' ' : ` (${say.optional}) `);
  text.append(made('code', typeOf(schema, schemas, say)));
  const about = schema.description ?? resolve(schema, schemas).description;
  if (about) text.append(' ', ...prose(about));
  return text;
}

/** The type in a word or two, as TypeScript has it. */
function typeOf(schema: Schema, schemas: Record<string, Schema>, say: Words): string {
  const it = resolve(schema, schemas);
  const name = schema.$ref?.split('/').at(-1);
  if (it['x-arguments'] === 'ignored') return say.ignored;
  if (it.enum) return it.enum.map((one) => JSON.stringify(one)).join(' | ');
  if (it.const !== undefined) return JSON.stringify(it.const);
  const choices = it.oneOf ?? it.anyOf;
  if (choices) return choices.map((one) => typeOf(one, schemas, say)).join(' | ');
  if (it.allOf) return it.allOf.map((one) => typeOf(one, schemas, say)).join(' & ');
  if (name !== undefined) return decodeURIComponent(name);
  if (it.type === 'array') return `${it.items ? typeOf(it.items, schemas, say) : say.anything}[]`;
  if (typeof it.additionalProperties === 'object') return `{ …: ${typeOf(it.additionalProperties, schemas, say)} }`;
  const types = [it.type ?? []].flat();
  return types.length > 0 ? types.join(' | ') : say.anything;
}
