/**
 * `ocserv.conf` as the gateway's configuration: what ocserv takes is taken, what does nothing here is said with its line, and nothing is ignored
 * without a word.
 *
 * Read first: spec "Gateway contract", sections 1 and 2.
 *
 *   file ─► lines ─► sections (known keys, by host) ─► GatewayConfig and notices, or ConfigError with all mistakes
 */
import { readFile, stat } from 'node:fs/promises';
import { domainToASCII } from 'node:url';
import { systemErrorText } from '../../node/system-error.ts';
import { checkFiles } from './config-files.ts';
import { ConfigError, ConfigReport } from './config-report.ts';
import type { ConfigNotice, GatewayConfig } from './gateway-config.ts';
import { DEFAULT_NAT } from './nat-config.ts';
import { hostOf } from './ocserv-host.ts';
import { keySpec, REMOVED_KEYS } from './ocserv-keys.ts';
import { MAX_FILE_BYTES, type OcservLine, readOcservLines } from './ocserv-lines.ts';
import { OcservSection } from './ocserv-section.ts';

export interface LoadedConfig {
  readonly config: GatewayConfig;
  readonly notices: readonly ConfigNotice[];
}

/** Each has certificates and a log-in of its own: more than this is a mistake. */
const MAX_VIRTUAL_HOSTS = 256;

/** Reads the file and looks at the files that it names. Throws {@link ConfigError}. */
export async function loadOcservConfig(file: string): Promise<LoadedConfig> {
  const report = new ConfigReport(file);
  const text = await readConfigText(file);
  const config = parse(text, report);
  report.throwIfUnusable();
  await checkFiles(config, text, report);
  report.throwIfUnusable();
  return { config, notices: report.notices };
}

/** The text alone: no file that it names is looked at. Throws {@link ConfigError}. */
export function parseOcservConfig(text: string, file: string): LoadedConfig {
  const report = new ConfigReport(file);
  const config = parse(text, report);
  report.throwIfUnusable();
  return { config, notices: report.notices };
}

/** Throws {@link ConfigError} if it cannot be read, or is no text of a file's size. */
export async function readConfigText(file: string): Promise<string> {
  const unusable = (message: string, cause?: unknown) => new ConfigError([{ file, line: 0, level: 'error', message }], { cause });
  try {
    const { size } = await stat(file);
    if (size <= MAX_FILE_BYTES) return await readFile(file, 'utf8');
  } catch (cause) {
    throw unusable(`cannot read it: ${systemErrorText(cause)}`, cause);
  }
  throw unusable(`it is larger than ${MAX_FILE_BYTES} bytes`);
}

function parse(text: string, report: ConfigReport): GatewayConfig {
  const { entries, sections } = readOcservLines(text, report);
  const global = new OcservSection(report);
  const virtual = new Map<string, OcservSection>();
  const nameOf = new Map<string, string | undefined>();
  for (const [title, line] of sections) {
    const name = hostName(title, line, report);
    nameOf.set(title, name);
    if (name === undefined || virtual.has(name)) continue;
    if (virtual.size >= MAX_VIRTUAL_HOSTS) {
      report.error({ line }, `there are more than ${MAX_VIRTUAL_HOSTS} virtual hosts`);
      break;
    }
    report.note({ line }, `adding virtual host: ${name}`);
    virtual.set(name, new OcservSection(report, { line }));
  }
  for (const entry of entries) {
    const name = entry.section === undefined ? undefined : nameOf.get(entry.section);
    if (entry.section === undefined) takeLine(entry, global, undefined);
    else if (name !== undefined) takeLine(entry, virtual.get(name) ?? global, name);
    else if (!isVirtual(entry.section)) report.warning({ line: entry.line }, `skipping unknown section '${entry.section}'`);
  }
  return gatewayOf(global, virtual);
}

function takeLine(line: OcservLine, section: OcservSection, host: string | undefined): void {
  const { report } = section;
  const at = { line: line.line };
  const removed = REMOVED_KEYS.get(line.key);
  const spec = keySpec(line.key);
  if (removed !== undefined) report.error(at, removed);
  else if (spec === undefined) report.warning(at, `skipping unknown option '${line.key}'`);
  else if (spec.supplements === 'only') {
    report.warning(at, `skipping unknown option '${line.key}': it has its place in the files of users and groups`);
  } else if (host !== undefined && LISTENERS.includes(spec.name)) {
    report.warning(at, `${line.key} is ignored on ${host} virtual host: all hosts share the sockets of the default host`);
  } else if (host !== undefined && spec.scope === 'global') {
    report.warning(at, `${line.key} is ignored on ${host} virtual host`);
  } else section.take(line);
}

/** ocserv has these for each virtual host. */
const LISTENERS: readonly string[] = ['listen-host', 'udp-listen-host', 'listen-netns'];

function isVirtual(title: string): boolean {
  return title.startsWith('vhost:');
}

/** The name as SNI has it. */
function hostName(title: string, line: number, report: ConfigReport): string | undefined {
  if (!isVirtual(title)) return undefined;
  const written = title.slice('vhost:'.length);
  const name = domainToASCII(written.trim());
  if (name === '') {
    report.error({ line }, `virtual host name is illegal '${written}'`);
    return undefined;
  }
  if (name !== written.toLowerCase()) report.note({ line }, `virtual host name '${written}' was canonicalized to '${name}'`);
  return name;
}

function gatewayOf(global: OcservSection, virtual: ReadonlyMap<string, OcservSection>): GatewayConfig {
  const { report } = global;
  const hosts = [hostOf(global, global, undefined), ...[...virtual].map(([name, section]) => hostOf(section, global, name))];
  const optional = <Key extends string>(key: Key, value: string | undefined) =>
    (value === undefined ? {} : { [key]: value }) as { [K in Key]?: string };
  const udpPort = portOf(global, 'udp-port');
  const tcpPort = portOf(global, 'tcp-port');
  if (tcpPort === undefined) report.error(global.placeOf('tcp-port'), 'the tcp-port option is mandatory!');
  for (const key of ['socket-file', 'device'] as const) {
    if (!global.has(key)) report.error(global.place, `the '${key}' configuration option must be specified!`);
  }
  const device = global.text('device') ?? '';
  // A number comes behind it, and Linux's names have 15 characters at most.
  if (device !== '' && !/^[A-Za-z0-9._-]{1,11}$/.test(device)) {
    report.error(global.placeOf('device'), `'device' begins the name of a network device: up to 11 letters and digits, not '${device}'`);
  }
  return {
    listen: {
      ...optional('host', global.text('listen-host')),
      ...optional('udpHost', global.text('udp-listen-host')),
      tcpPort: tcpPort ?? 0,
      ...(udpPort !== undefined && { udpPort }),
      ...optional('networkNamespace', global.text('listen-netns')),
      proxyProtocol: global.flag('listen-proxy-proto'),
    },
    processes: {
      user: global.text('run-as-user') ?? '',
      group: global.text('run-as-group') ?? '',
      ...optional('chroot', global.text('chroot-dir')),
      ...optional('pidFile', global.text('pid-file')),
      socketFile: global.text('socket-file') ?? '',
      workers: 0,
    },
    limits: {
      maxClients: global.count('max-clients'),
      acceptInterval: global.count('rate-limit-ms'),
      loginTime: global.seconds('auth-timeout'),
      drain: global.count('server-drain-ms'),
    },
    bans: {
      maxScore: global.count('max-ban-score'),
      banTime: global.seconds('min-reauth-time'),
      resetTime: global.seconds('ban-reset-time'),
      pointsWrongPassword: global.count('ban-points-wrong-password'),
      pointsConnection: global.count('ban-points-connection'),
    },
    network: {
      ...{ isUserspace: false, nat: DEFAULT_NAT },
      device,
      pingLeases: global.flag('ping-leases'),
      ...optional('routeAddCommand', global.text('route-add-cmd')),
      ...optional('routeDeleteCommand', global.text('route-del-cmd')),
    },
    scripts: {
      ...optional('connect', global.text('connect-script')),
      ...optional('disconnect', global.text('disconnect-script')),
      ...optional('hostUpdate', global.text('host-update-script')),
    },
    control: {
      isEnabled: global.flag('use-occtl'),
      socket: global.text('occtl-socket-file') ?? '',
      statisticsPeriod: global.seconds('server-stats-reset-time'),
    },
    logLevel: Math.min(9, global.count('log-level')),
    hosts,
  };
}

/** Undefined: absent or 0. */
function portOf(section: OcservSection, key: 'tcp-port' | 'udp-port'): number | undefined {
  const port = section.count(key);
  if (port > 65_535) section.report.error(section.placeOf(key), `'${key}' is at most 65535, not ${port}`);
  return port === 0 ? undefined : port;
}
