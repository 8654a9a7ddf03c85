/**
 * What one session gets: the host's policy, over it the files of its group and its user, over all of them what the back end says (RADIUS).
 *
 * Read first: spec "Gateway contract", section 2.5. The files are read at each log-in, so that edits need no reload. What the spec does not say is as
 * ocserv 1.1.6 was seen to do:
 *
 *   single values   the user's file wins over the group's, both over the host's
 *   lists           those of both files together, in place of the host's
 *   append-routes   … and then the host's routes and no-routes as well; no other list
 *   defaults        for a user or group without a file; a user in no group has no group file at all
 */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemErrorCode, systemErrorText } from '../../node/system-error.ts';
import { ConfigError, ConfigReport } from './config-report.ts';
import type { ConfigNotice, HostConfig, SessionPolicy } from './gateway-config.ts';
import { keySpec } from './ocserv-keys.ts';
import { readOcservLines } from './ocserv-lines.ts';
import { ownAddresses, supplementOf } from './ocserv-policy.ts';
import { OcservSection } from './ocserv-section.ts';
import { routes } from './ocserv-values.ts';

export interface PolicyFor {
  readonly user: string;
  /** In the order in which their files are read. */
  readonly groups: readonly string[];
  /** Wins over the files. */
  readonly backEnd?: Partial<SessionPolicy>;
}

export interface ResolvedPolicy {
  readonly policy: SessionPolicy;
  readonly notices: readonly ConfigNotice[];
}

/** A file of one user: nobody writes more by hand, and it is read at each log-in. */
const MAX_SUPPLEMENT_BYTES: number = 256 * 1024;

/** Throws {@link ConfigError} where a file is there but cannot be used: a session with less than its restrictions is none. */
export async function resolvePolicy(host: HostConfig, { user, groups, backEnd = {} }: PolicyFor): Promise<ResolvedPolicy> {
  const { userFolder, groupFolder, defaultUserFile, defaultGroupFile } = host.supplements;
  const notices: ConfigNotice[] = [];
  const found: Supplement[] = [];
  const take = async (folder: string | undefined, names: readonly string[], fallback: string | undefined): Promise<void> => {
    const files = names.flatMap((name) => fileOf(folder, name) ?? []);
    const read = (await Promise.all(files.map((file) => readSupplement(file)))).filter((supplement) => supplement !== undefined);
    if (read.length === 0 && names.length > 0 && fallback !== undefined) {
      const byDefault = await readSupplement(fallback);
      if (byDefault !== undefined) read.push(byDefault);
    }
    found.push(...read);
    notices.push(...read.flatMap((supplement) => supplement.notices));
  };
  await take(groupFolder, groups, defaultGroupFile);
  await take(userFolder, [user], defaultUserFile);
  return { policy: merged(host.policy, found, backEnd), notices };
}

interface Supplement {
  readonly policy: Partial<SessionPolicy>;
  /** Undefined: the file has none. */
  readonly routes?: SessionPolicy['routes'];
  /** The file says `default`. */
  readonly wantsEverything: boolean;
  readonly notices: readonly ConfigNotice[];
}

function merged(host: SessionPolicy, supplements: readonly Supplement[], backEnd: Partial<SessionPolicy>): SessionPolicy {
  const policies = supplements.map(({ policy }) => policy);
  const pools = Object.assign({}, ...policies.map((policy) => policy.pools));
  const dns = together(policies.map((policy) => policy.dns));
  const nbns = together(policies.map((policy) => policy.nbns));
  const splitDns = together(policies.map((policy) => policy.splitDns));
  const noRoutes = together(policies.map((policy) => policy.noRoutes));
  const iroutes = together(policies.map((policy) => policy.iroutes));
  const own: Partial<SessionPolicy> = {
    ...Object.assign({}, ...policies),
    ...(Object.keys(pools).length > 0 && { pools }),
    ...(dns !== undefined && { dns }),
    ...(nbns !== undefined && { nbns }),
    ...(splitDns !== undefined && { splitDns }),
    ...(noRoutes !== undefined && { noRoutes }),
    ...(iroutes !== undefined && { iroutes }),
    ...ownRoutes(supplements),
    ...backEnd,
  };
  const policy = { ...host, ...own };
  if (!host.appendsRoutes) return policy;
  return {
    ...policy,
    // None of its own that are named: everything, by its file or as the host has it.
    ...(own.routes !== undefined && own.routes.length > 0 && { routes: [...own.routes, ...host.routes] }),
    ...(own.noRoutes !== undefined && { noRoutes: [...own.noRoutes, ...host.noRoutes] }),
  };
}

/** A list that grows from file to file; undefined where no file has it. */
function together<Value>(lists: readonly (readonly Value[] | undefined)[]): readonly Value[] | undefined {
  const there = lists.filter((list) => list !== undefined);
  return there.length === 0 ? undefined : there.flat();
}

function ownRoutes(supplements: readonly Supplement[]): { routes?: SessionPolicy['routes'] } {
  if (supplements.some(({ wantsEverything }) => wantsEverything)) return { routes: [] };
  const networks = supplements.flatMap((supplement) => supplement.routes ?? []);
  return networks.length > 0 ? { routes: networks } : {};
}

/** Undefined where there is no folder, or where the name is none of a file in it: nobody reaches another file by the name they log in with. */
function fileOf(folder: string | undefined, name: string): string | undefined {
  if (folder === undefined || name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) return undefined;
  return path.join(folder, name);
}

/** Undefined: there is no such file. */
async function readSupplement(file: string): Promise<Supplement | undefined> {
  const unusable = (message: string, cause?: unknown) => new ConfigError([{ file, line: 0, level: 'error', message }], { cause });
  let text: string;
  try {
    const facts = await stat(file);
    if (!facts.isFile()) throw unusable('it is not a file');
    if (facts.size > MAX_SUPPLEMENT_BYTES) throw unusable(`it is larger than ${MAX_SUPPLEMENT_BYTES} bytes`);
    text = await readFile(file, 'utf8');
  } catch (error) {
    // A name that is too long for a file has none.
    if (['ENOENT', 'ENAMETOOLONG'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error instanceof ConfigError ? error : unusable(`cannot read it: ${systemErrorText(error)}`, error);
  }
  return parseSupplement(text, file);
}

function parseSupplement(text: string, file: string): Supplement {
  const report = new ConfigReport(file);
  const section = new OcservSection(report);
  for (const line of readOcservLines(text, report).entries) {
    const at = { line: line.line };
    // Observed: sections are skipped here, virtual hosts too.
    if (line.section !== undefined) report.warning(at, `skipping unknown section '${line.section}'`);
    else if (keySpec(line.key)?.supplements === undefined) report.warning(at, `skipping unknown option '${line.key}'`);
    else section.take(line);
  }
  const { networks, isEverything } = routes(section, 'route');
  const policy = { ...supplementOf(section), ...ownAddresses(section) };
  report.throwIfUnusable();
  return {
    policy,
    ...(section.has('route') && { routes: networks }),
    wantsEverything: isEverything,
    notices: report.notices,
  };
}
