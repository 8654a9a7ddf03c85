/**
 * Checks values against a JSON Schema, as far as ours use it: type, const, enum, required, properties, items, pattern, minimum, maximum, oneOf and
 * references into `$defs`. A keyword that is not known here is an error, so that no rule is passed over.
 *
 * Read first: JSON Schema 2020-12, "Validation".
 */

type Schema = Readonly<Record<string, unknown>>;

/** The fields of each object that a fitting rule has named. */
type NamedFields = Map<object, Set<string>>;

const NOT_RULES = ['$schema', '$defs', 'title', 'description'];

/** What is wrong, each with its place; empty: nothing. With `isClosed`, fields that the schema does not name are wrong too. */
export function schemaFaults(value: unknown, schema: unknown, { isClosed = false }: { isClosed?: boolean } = {}): string[] {
  const root = schema as Schema;
  const named: NamedFields = new Map();
  const faults = ruleFaults('$', value, root, { root, named });
  return isClosed ? [...faults, ...unnamedFields('$', value, named)] : faults;
}

interface Scene {
  readonly root: Schema;
  readonly named: NamedFields;
}

function ruleFaults(at: string, value: unknown, rules: Schema, scene: Scene): string[] {
  return Object.entries(rules).flatMap(([keyword, rule]) => {
    switch (keyword) {
      case '$ref':
        return ruleFaults(at, value, definition(scene.root, String(rule)), scene);
      case 'type':
        return isOfType(value, String(rule)) ? [] : [`${at}: expected ${rule}, got ${JSON.stringify(value)}`];
      case 'const':
        return value === rule ? [] : [`${at}: expected ${JSON.stringify(rule)}, got ${JSON.stringify(value)}`];
      case 'enum':
        return (rule as unknown[]).includes(value) ? [] : [`${at}: ${JSON.stringify(value)} is none of ${JSON.stringify(rule)}`];
      case 'pattern':
        return typeof value !== 'string' || new RegExp(String(rule)).test(value) ? [] : [`${at}: ${value} does not match ${rule}`];
      case 'minimum':
        return typeof value !== 'number' || value >= Number(rule) ? [] : [`${at}: ${value} is less than ${rule}`];
      case 'maximum':
        return typeof value !== 'number' || value <= Number(rule) ? [] : [`${at}: ${value} is more than ${rule}`];
      case 'items':
        return Array.isArray(value) ? value.flatMap((item, i) => ruleFaults(`${at}[${i}]`, item, rule as Schema, scene)) : [];
      case 'required':
        return (rule as string[]).filter((name) => !Object.hasOwn(Object(value), name)).map((name) => `${at}.${name} is missing`);
      case 'properties':
        return propertyFaults(at, value, rule as Readonly<Record<string, Schema>>, scene);
      case 'oneOf':
        return alternativeFaults(at, value, rule as readonly Schema[], scene);
      default:
        return NOT_RULES.includes(keyword) ? [] : [`${at}: the schema has the unknown keyword ${keyword}`];
    }
  });
}

function propertyFaults(at: string, value: unknown, rules: Readonly<Record<string, Schema>>, scene: Scene): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const names = Object.keys(rules).filter((name) => Object.hasOwn(value, name));
  scene.named.set(value, new Set([...(scene.named.get(value) ?? []), ...names]));
  return names.flatMap((name) => ruleFaults(`${at}.${name}`, (value as Schema)[name], rules[name] ?? {}, scene));
}

function alternativeFaults(at: string, value: unknown, alternatives: readonly Schema[], { root, named }: Scene): string[] {
  const tries = alternatives.map((rules) => {
    const own: NamedFields = new Map();
    return { own, faults: ruleFaults(at, value, rules, { root, named: own }) };
  });
  const fitting = tries.filter(({ faults }) => faults.length === 0);
  for (const { own } of fitting) for (const [object, names] of own) named.set(object, new Set([...(named.get(object) ?? []), ...names]));
  if (fitting.length === 1) return [];
  // The nearest one is the one that was meant.
  const [nearest] = tries.toSorted((a, b) => a.faults.length - b.faults.length);
  return [...(nearest?.faults ?? []), `${at}: fits ${fitting.length} alternatives`];
}

/** Fields of objects that the schema describes, but not these. Objects of which it says nothing may hold anything. */
function unnamedFields(at: string, value: unknown, named: NamedFields): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const known = named.get(value);
  return Object.entries(value).flatMap(([name, field]) =>
    known === undefined || known.has(name) ? unnamedFields(`${at}.${name}`, field, named) : [`${at}.${name} is not in the schema`],
  );
}

function definition(root: Schema, reference: string): Schema {
  const name = reference.replace('#/$defs/', '');
  const found = (root.$defs as Readonly<Record<string, Schema>> | undefined)?.[name];
  if (found === undefined) throw new Error(`the schema has no ${reference}`);
  return found;
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}
