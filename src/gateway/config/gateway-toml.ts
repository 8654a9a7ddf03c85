/**
 * `gateway.toml`, the gateway's own configuration file: strict, in plain words, and every complaint has file, line, column and key.
 *
 * Read first: docs/gateway.toml, which has every key. Virtual hosts (`[[host]]`) have `auth`, `pool` and `tls` of their own; of all other tables, and of
 * `tls.priorities`, they have each key that they do not set from the default host.
 */
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { clientCertificateDemand, wantsCertificates } from './client-certificates.ts';
import { checkFiles } from './config-files.ts';
import { ConfigReport } from './config-report.ts';
import type { GatewayConfig, HostConfig, LoginPageConfig } from './gateway-config.ts';
import { DEFAULT_PROTOCOLS } from './host-protocols.ts';
import { type LoadedConfig, readConfigText } from './ocserv-conf.ts';
import { DEFAULT_PORTAL } from './portal-config.ts';
import { parseTlsPriorities } from './tls-priorities.ts';
import { HOST_TABLES, hostNameText, type WrittenHost } from './toml-host.ts';
import { type TomlPath, TomlPlaces } from './toml-places.ts';
import { policyOf } from './toml-policy.ts';
import { SERVER_TABLES } from './toml-server.ts';
import { table } from './toml-values.ts';

const MAX_VIRTUAL_HOSTS = 256;

const DEFAULT_PRIORITIES = 'NORMAL:%SERVER_PRECEDENCE:-VERS-TLS1.0:-VERS-TLS1.1';

const DEFAULT_COOKIE_TIMEOUT = 300_000;

const FILE = table({
  ...SERVER_TABLES,
  ...HOST_TABLES,
  host: z
    .array(table({ name: hostNameText, ...HOST_TABLES }))
    .max(MAX_VIRTUAL_HOSTS)
    .default([])
    .superRefine((hosts, context) => {
      const names = hosts.map(({ name }) => name);
      for (const [i, name] of names.entries()) {
        if (names.indexOf(name) < i) context.addIssue({ code: 'custom', path: [i, 'name'], message: `there are two hosts '${name}'` });
      }
      for (const [i, host] of hosts.entries()) wantAuthority(host, [i], context);
    }),
}).superRefine((file, context) => wantAuthority(file, [], context));

/** Without it no certificate is good, and nobody could log in. */
function wantAuthority({ auth, tls }: Pick<WrittenHost, 'auth' | 'tls'>, path: (string | number)[], context: z.RefinementCtx): void {
  if (tls.clientAuthority !== undefined || !wantsCertificates(auth)) return;
  context.addIssue({
    code: 'custom',
    path: [...path, 'tls', 'client-authority'],
    message: 'it is missing: whose client certificates are good?',
  });
}

/** Reads the file and looks at the files that it names. Throws {@link ConfigError}. */
export async function loadGatewayToml(file: string): Promise<LoadedConfig> {
  const report = new ConfigReport(file);
  const text = await readConfigText(file);
  const config = toConfig(text, report);
  await checkFiles(config, text, report);
  report.throwIfUnusable();
  return { config, notices: report.notices };
}

/** The text alone: no file that it names is looked at. Throws {@link ConfigError}. */
export function parseGatewayToml(text: string, file: string): LoadedConfig {
  const report = new ConfigReport(file);
  return { config: toConfig(text, report), notices: report.notices };
}

function toConfig(text: string, report: ConfigReport): GatewayConfig {
  const parsed = FILE.safeParse(toValues(text, report), { error: (issue) => (issue.input === undefined ? 'it is missing' : undefined) });
  if (!parsed.success) {
    const places = new TomlPlaces(text);
    for (const { path, message } of parsed.error.issues.flatMap(complaints)) {
      const key = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
      report.error(places.of(path), `${key.replace(/^\./, '')}: ${message}`);
    }
    report.throwIfUnusable();
    throw new Error('a configuration was refused without a reason');
  }
  const { host, tls, auth, login, portal, sessions, files, pool, policy, ...server } = parsed.data;
  const main = { tls, auth, login, portal, sessions, files, pool, policy };
  return {
    listen: server.listen,
    processes: server.process,
    limits: server.limits,
    bans: server.bans,
    network: { ...server.network, nat: server.nat },
    scripts: server.scripts,
    control: server.control,
    logLevel: server['log-level'],
    hosts: [hostOf(main, undefined), ...host.map(({ name, ...own }) => ({ name, ...hostOf(own, main) }))],
  };
}

function toValues(text: string, report: ConfigReport): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Its first line says what; the others show the text, which may hold secrets.
    const [what = ''] = error.message.split('\n');
    report.error({ line: error.line, column: error.column }, what.replace(/^Invalid TOML document: /, 'no TOML: '));
    report.throwIfUnusable();
    throw error;
  }
}

/** One for each key: several unknown ones come as one issue of their table. */
function complaints(issue: z.core.$ZodIssue): { path: TomlPath; message: string }[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  const keys = issue.code === 'unrecognized_keys' ? issue.keys : undefined;
  const message = issue.message.replace(/^Invalid input: /, '');
  return keys === undefined ? [{ path, message }] : keys.map((key) => ({ path: [...path, key], message }));
}

function hostOf(own: WrittenHost, main: WrittenHost | undefined): HostConfig {
  const login: LoginPageConfig = {
    ...{ protocols: DEFAULT_PROTOCOLS, wantsHostReports: false, groups: [], listsOwnGroups: false, headers: [], isCiscoCompatible: false },
    ...main?.login,
    ...own.login,
  };
  // Hosts have users of their own: those of one are nobody at another unless that is said of both.
  const { passKey: _ofMain, ...mainPortal } = main?.portal ?? {};
  const { isEnabled, ...portal } = { isEnabled: false, ...DEFAULT_PORTAL, ...mainPortal, ...own.portal };
  return {
    tls: {
      ...own.tls,
      policy: own.tls.policy ?? main?.tls.policy ?? parseTlsPriorities(DEFAULT_PRIORITIES),
      clientCertificates: clientCertificateDemand(own.auth, login),
    },
    auth: own.auth,
    login,
    ...(isEnabled && { portal }),
    sessions: { cookieTimeout: DEFAULT_COOKIE_TIMEOUT, persistentCookies: false, ...main?.sessions, ...own.sessions },
    supplements: { ...main?.files, ...own.files },
    pools: own.pool,
    policy: policyOf(main?.policy ?? {}, own.policy),
  };
}
