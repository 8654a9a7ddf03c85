/**
 * All keys of `ocserv.conf`: one table, from which parser, notices and documentation are made.
 *
 * Read first: spec "Gateway contract", section 2.
 */
import type { OcservKeySpec } from './ocserv-key.ts';
import { LOGIN_KEYS } from './ocserv-login-keys.ts';
import { NETWORK_KEYS } from './ocserv-network-keys.ts';
import { LISTENING_KEYS, SUPPLEMENT_KEYS, TLS_KEYS } from './ocserv-server-keys.ts';

export type OcservKey = (
  | (typeof LISTENING_KEYS)[number]
  | (typeof TLS_KEYS)[number]
  | (typeof SUPPLEMENT_KEYS)[number]
  | (typeof LOGIN_KEYS)[number]
  | (typeof NETWORK_KEYS)[number]
)['name'];

/** In the order of the documentation. */
export const KEY_GROUPS: readonly { readonly title: string; readonly keys: readonly OcservKeySpec<OcservKey>[] }[] = [
  { title: 'Listening and processes', keys: LISTENING_KEYS },
  { title: 'TLS and certificates', keys: TLS_KEYS },
  { title: 'Log-in and sessions', keys: LOGIN_KEYS },
  { title: 'Network', keys: NETWORK_KEYS },
  { title: 'Files of users and groups, scripts, statistics', keys: SUPPLEMENT_KEYS },
];

const BY_NAME: ReadonlyMap<string, OcservKeySpec<OcservKey>> = new Map(
  KEY_GROUPS.flatMap(({ keys }) => keys).flatMap((spec) => [spec.name, ...(spec.aliases ?? [])].map((name) => [name, spec] as const)),
);

/** Keys that were there once, with ocserv's words: files that have them mean something that is no longer done, so the gateway does not start. */
export const REMOVED_KEYS: ReadonlyMap<string, string> = new Map([
  ['listen-clear-file', "the 'listen-clear-file' option was removed in ocserv 1.1.2"],
]);

/** By its name or another name for it. Case matters. */
export function keySpec(name: string): OcservKeySpec<OcservKey> | undefined {
  return BY_NAME.get(name);
}

/** Of a key that there is for certain. */
export function specOf(key: OcservKey): OcservKeySpec<OcservKey> {
  const spec = BY_NAME.get(key);
  if (spec === undefined) throw new Error(`no such key: ${key}`);
  return spec;
}
