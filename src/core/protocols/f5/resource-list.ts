/**
 * The VPN resources of a user, both ways.
 *
 * Read first: spec "F5", section 3.
 *
 *   <favorites type="VPN"> <favorite id=> <caption/> <name/> <params>resourcename=…</params> </favorite> … </favorites>
 */
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { attribute, child, childrenNamed, parseXml, renderXml, textOf, xmlElement } from '../../markup/xml.ts';
import { printable } from '../../wire/text.ts';

export interface Resource {
  /** For people. */
  readonly name: string;
  /** A part of a query, which goes into the next request as it is. */
  readonly params: string;
}

const ROOT = 'favorites';
const TYPE = 'VPN';
const MAX_RESOURCES = 256;
/** Spec 9: a part of a query, in which nothing can end a request line. */
const PARAMS = /^[\u0021-\u0022\u0024-\u007e]{1,1024}$/;
const MAX_NAME_LENGTH = 200;

/** Those that can be asked for. Throws {@link PeerMisbehavedError} for another document, {@link PeerRefusedError} where there is none for this user. */
export function parseResources(document: Uint8Array | string): readonly [Resource, ...(readonly Resource[])] {
  const root = parseXml(document, { length: 1024 * 1024 });
  if (root.name !== ROOT || attribute(root, 'type') !== TYPE) {
    throw new PeerMisbehavedError(
      `The gateway's list of resources is a <${printable(root.name).slice(0, 40)}>, not <${ROOT} type="${TYPE}">.`,
    );
  }
  const resources = childrenNamed(root, 'favorite')
    .slice(0, MAX_RESOURCES)
    .flatMap((favorite): Resource[] => {
      const text = (name: string) => textOf(child(favorite, name) ?? xmlElement(name)).trim();
      const params = text('params');
      const name = printable(text('caption') || text('name') || (attribute(favorite, 'id') ?? '')).slice(0, MAX_NAME_LENGTH);
      return PARAMS.test(params) ? [{ name, params }] : [];
    });
  const [first, ...others] = resources;
  if (first === undefined) throw new PeerRefusedError('The gateway gives this user no VPN resource.');
  return [first, ...others];
}

/** Throws {@link PeerRefusedError}, which says what there is, where nothing has that name. */
export function chosenResource([first, ...others]: ReturnType<typeof parseResources>, name: string | undefined): Resource {
  if (name === undefined) return first;
  const all = [first, ...others];
  const chosen = all.find((resource) => resource.name === name);
  if (chosen !== undefined) return chosen;
  throw new PeerRefusedError(
    `The gateway gives this user no VPN resource "${name}", but ${all.map((each) => `"${each.name}"`).join(', ')}.`,
  );
}

export function renderResources(resources: readonly Resource[]): string {
  const favorites = resources.map(({ name, params }) =>
    xmlElement('favorite', { id: name }, [
      xmlElement('caption', {}, [name]),
      xmlElement('name', {}, [name]),
      xmlElement('params', {}, [params]),
    ]),
  );
  return `<?xml version="1.0" encoding="utf-8"?>\n${renderXml(xmlElement(ROOT, { type: TYPE, limited: 'YES' }, favorites))}\n`;
}
