/**
 * The resolv.conf that we write. It carries the file it replaces in comments, so that it can be undone from itself alone: after a power cut
 * the journal is gone with /run, the file is not, and a person can read what to put back.
 *
 *   # sallyport 4711-90210-0 file          ← whose; `file`: there was one before, `none`: there was none
 *   # DNS of tun0. The lines after "#|" are the file that was here before …
 *   nameserver 10.0.0.1
 *   search corp.example lan.example
 *   options edns0
 *   #|search lan.example                   ← every line of the old file; the last is empty if that ended in a line feed
 *   #|nameserver 192.0.2.53
 *   #|
 *
 * Read first: resolv.conf(5).
 */

/** How many name servers the C library asks (MAXNS in resolv.h). */
const MAX_SERVERS = 3;
/** Files within files: a tunnel started within a tunnel, and so on. */
const MAX_NESTING = 16;

const KEPT = '#|';

export interface TunnelDns {
  /** The session that writes it, for {@link ownerOf}. */
  readonly session: string;
  readonly device: string;
  /** Addresses, as text. */
  readonly servers: readonly string[];
  readonly searchDomains: readonly string[];
}

/** The file for a tunnel: its servers instead of the old ones, its search domains before the old ones, the old options. */
export function renderResolvConf(dns: TunnelDns, before: string | null): string {
  const old = parseLines(before ?? '');
  const search = [...new Set([...dns.searchDomains, ...old.search])];
  return [
    `# sallyport ${dns.session} ${before === null ? 'none' : 'file'}`,
    `# DNS of ${dns.device}. ${before === null ? 'There was no file here before.' : `The lines after "${KEPT}" are the file that was here before; it comes back when the tunnel ends.`}`,
    ...dns.servers.slice(0, MAX_SERVERS).map((server) => `nameserver ${server}`),
    ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    ...(old.options.length === 0 ? [] : [`options ${old.options.join(' ')}`]),
    ...(before === null ? [] : before.split('\n').map((line) => KEPT + line)),
    '',
  ].join('\n');
}

interface OldLines {
  readonly search: readonly string[];
  readonly options: readonly string[];
}

function parseLines(text: string): OldLines {
  let search: readonly string[] = [];
  const options: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'search' || keyword === 'domain') search = values; // the last one counts
    if (keyword === 'options') options.push(...values);
  }
  return { search, options: options.filter((option) => option !== 'trust-ad') }; // that trust was in the old servers
}

/** The session that wrote this file; undefined if none of ours did. */
export function ownerOf(content: string | null): string | undefined {
  return /^# sallyport ([\w-]+) (?:file|none)\n/.exec(content ?? '')?.[1];
}

/** The file that this one replaced; only for a file that has an {@link ownerOf}. */
function replacedBy(content: string): string | null {
  if (/^# sallyport \S+ none\n/.test(content)) return null;
  const kept = content.split('\n').filter((line) => line.startsWith(KEPT));
  return kept.map((line) => line.slice(KEPT.length)).join('\n');
}

/** The file without what dead sessions put around it: unwrapped until it is nobody's, or a live session's. */
export function withoutDeadSessions(content: string | null, isLive: (session: string) => boolean): string | null {
  let rest = content;
  for (let depth = 0; depth < MAX_NESTING && rest !== null; depth++) {
    const owner = ownerOf(rest);
    if (owner === undefined || isLive(owner)) break;
    rest = replacedBy(rest);
  }
  return rest;
}
