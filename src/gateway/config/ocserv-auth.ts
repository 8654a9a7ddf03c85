/**
 * Log-in and accounting methods of `ocserv.conf`.
 *
 *   auth = plain[passwd=/etc/ocserv/ocpasswd,otp=/etc/ocserv/users.otp]
 *          └ method   └ options
 *
 * Read first: spec "Gateway contract", section 3. A method that we do not have stops the gateway where it is demanded: without it, less would be
 * asked of a client. As an alternative it is left out, with a warning: then fewer clients get in.
 */
import type { AuthConfig, AuthMethod, RadiusConfig } from './gateway-config.ts';
import type { OcservSection, Setting } from './ocserv-section.ts';
import { certificateField } from './ocserv-values.ts';

/** Observed: the fourth alternative is one too many, as the methods of `auth` count for one. */
const MAX_METHODS = 4;

/** The names of methods, with the options that each has. */
const METHOD_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  plain: ['passwd', 'otp'],
  pam: ['gid-min'],
  radius: ['config', 'groupconfig', 'nas-identifier'],
  certificate: [],
  gssapi: ['keytab', 'require-local-user-map', 'tgt-freshness-time', 'gid-min'],
  oidc: ['config'],
};

/** `label` begins messages: `vhost:default`. */
export function authOf(section: OcservSection, label: string): AuthConfig {
  const { report } = section;
  const required = section.list('auth').flatMap((setting) => methodOf(section, setting, label, 'auth'));
  const alternatives = section.list('enable-auth').flatMap((setting) => methodOf(section, setting, label, 'enable-auth'));
  checkMixture(section, label, required, alternatives);
  if (!section.has('auth')) report.error(section.place, `${prefix(label)}the 'auth' configuration option was not specified!`);
  else if (required.length > 0) {
    const names = [...new Set(required.map(({ method }) => method))].join('+');
    report.note(section.placeOf('auth'), `${label}: setting '${names}' as primary authentication method`);
  }
  for (const { method } of alternatives)
    report.note(section.placeOf('enable-auth'), `${label}: enabling '${method}' as authentication method`);

  const certificateUser = certificateField(section, 'cert-user-oid');
  const certificateGroup = certificateField(section, 'cert-group-oid');
  if ([...required, ...alternatives].some(({ method }) => method === 'certificate')) {
    if (!section.has('cert-user-oid')) {
      report.error(section.place, `${prefix(label)}a certificate is requested but the option 'cert-user-oid' is not set`);
    }
    if (!section.has('ca-cert')) {
      report.warning(
        section.place,
        `${prefix(label)}no 'ca-cert' is set: no client certificate can be verified, and nobody logs in with one`,
      );
    }
  }
  const accounting = accountingOf(section);
  const takesSupplementsFromRadius = [...required, ...alternatives].some((method) => method.method === 'radius' && method.takesGroups);
  if (takesSupplementsFromRadius && (section.has('config-per-user') || section.has('config-per-group'))) {
    const key = section.has('config-per-user') ? 'config-per-user' : 'config-per-group';
    report.error(section.placeOf(key), "specified config-per-user or config-per-group but supplemental config is 'radius'");
  } else {
    report.note(section.place, `${prefix(label)}setting '${takesSupplementsFromRadius ? 'radius' : 'file'}' as supplemental config option`);
  }
  return {
    required,
    alternatives,
    ...(accounting !== undefined && { accounting }),
    ...(certificateUser !== undefined && { certificateUser }),
    ...(certificateGroup !== undefined && { certificateGroup }),
  };
}

/** Observed: ocserv names virtual hosts only. */
function prefix(label: string): string {
  return label === DEFAULT_LABEL ? '' : `${label}: `;
}

export const DEFAULT_LABEL = 'vhost:default';

function checkMixture(section: OcservSection, label: string, required: readonly AuthMethod[], alternatives: readonly AuthMethod[]): void {
  const { report } = section;
  const isPassword = ({ method }: AuthMethod) => method !== 'certificate' && method !== 'oidc';
  const repeated = required.find(({ method }, i) => required.findIndex((other) => other.method === method) !== i);
  if (repeated !== undefined) {
    report.error(section.placeOf('auth'), `${label}: you cannot mix multiple authentication methods of ${repeated.method} type`);
  } else if (required.filter(isPassword).length > 1) {
    report.error(section.placeOf('auth'), `${label}: you cannot mix multiple password authentication methods`);
  } else if ([...required, ...alternatives].filter(isPassword).length > 1) {
    report.error(section.placeOf('enable-auth'), `${label}: you cannot mix multiple password authentication methods`);
  }
  if (section.list('enable-auth').length >= MAX_METHODS) {
    report.error(section.placeOf('enable-auth'), `${label}: you cannot enable more than ${MAX_METHODS} authentication methods`);
  }
}

function methodOf(section: OcservSection, setting: Setting, label: string, key: 'auth' | 'enable-auth'): AuthMethod[] {
  const { report } = section;
  const parsed = parseMethod(section, setting);
  if (parsed === undefined) return [];
  const { name, options } = parsed;
  switch (name) {
    case 'plain':
      return plain(section, setting, options);
    case 'pam':
      return [{ method: 'pam', ...gidMin(section, setting, options.get('gid-min')) }];
    case 'radius': {
      const radius = radiusOf(section, setting, options);
      return radius === undefined
        ? []
        : [{ method: 'radius', radius, takesGroups: /^(true|yes)$/i.test(options.get('groupconfig') ?? '') }];
    }
    case 'certificate':
      return [{ method: 'certificate' }];
    case 'oidc': {
      const file = options.get('config');
      if (file !== undefined) return [{ method: 'oidc', file }];
      report.error(setting, 'oidc: no configuration file specified: write oidc[config=FILE.json]');
      return [];
    }
    case 'gssapi':
      if (key === 'auth') report.error(setting, `${label}: the auth method gssapi is not supported here: take pam, radius or certificate`);
      else report.warning(setting, "'enable-auth' with gssapi has no effect here: Kerberos is not supported");
      return [];
    default:
      report.error(setting, `${label}: unknown or unsupported auth method: ${name}`);
      return [];
  }
}

function plain(section: OcservSection, setting: Setting, options: ReadonlyMap<string, string>): AuthMethod[] {
  const passwordFile = options.get('passwd');
  const otpFile = options.get('otp');
  if (passwordFile !== undefined || otpFile !== undefined) {
    return [{ method: 'plain', ...(passwordFile !== undefined && { passwordFile }), ...(otpFile !== undefined && { otpFile }) }];
  }
  section.report.error(setting, 'plain: no password or OTP file specified');
  return [];
}

function gidMin(section: OcservSection, setting: Setting, text: string | undefined): { minGid?: number } {
  if (text === undefined) return {};
  if (/^\d{1,10}$/.test(text)) return { minGid: Number(text) };
  section.report.error(setting, `pam: gid-min is a number, not '${text}'`);
  return {};
}

function radiusOf(section: OcservSection, setting: Setting, options: ReadonlyMap<string, string>): RadiusConfig | undefined {
  const file = options.get('config');
  const nasIdentifier = options.get('nas-identifier');
  if (file !== undefined) return { file, ...(nasIdentifier !== undefined && { nasIdentifier }) };
  section.report.error(setting, 'No radius configuration specified: write radius[config=FILE]');
  return undefined;
}

function accountingOf(section: OcservSection): AuthConfig['accounting'] {
  const value = section.text('acct');
  if (value === undefined) return undefined;
  const setting = { value, ...section.placeOf('acct') };
  const parsed = parseMethod(section, setting);
  if (parsed === undefined) return undefined;
  const { report } = section;
  if (parsed.name !== 'radius' && parsed.name !== 'pam') {
    report.error(setting, `unknown or unsupported accounting method: ${parsed.name}`);
    return undefined;
  }
  report.note(setting, `setting '${parsed.name}' as accounting method`);
  if (parsed.name === 'pam') return { method: 'pam' };
  const radius = radiusOf(section, setting, parsed.options);
  return radius && { method: 'radius', radius };
}

/** `name[option=value,…]`; the old form `plain[FILE]` too. Names in any case, as observed. */
function parseMethod(section: OcservSection, setting: Setting): { name: string; options: ReadonlyMap<string, string> } | undefined {
  const { report } = section;
  const [, written = '', inner] = /^([^[]*)(?:\[(.*)\])?$/s.exec(setting.value) ?? [];
  const name = written.trim().toLowerCase();
  if (name === '') {
    report.error(setting, `error parsing ${setting.value.slice(Math.max(0, setting.value.indexOf('[')))}`);
    return undefined;
  }
  const known = METHOD_OPTIONS[name];
  if (inner === undefined || known === undefined) return { name, options: new Map() };
  if (name === 'plain' && !inner.includes('=')) return { name, options: new Map([['passwd', inner.trim()]]) };
  const options = new Map<string, string>();
  for (const part of inner.split(',')) {
    const [option = '', ...rest] = part.split('=');
    if (known.includes(option.trim().toLowerCase()))
      options.set(option.trim().toLowerCase(), rest.join('=').replace(/^[\s"]+|[\s"]+$/g, ''));
    else report.error(setting, `unknown option '${option.trim()}'`);
  }
  return { name, options };
}
