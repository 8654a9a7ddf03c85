/** One host of `ocserv.conf`, the default one or a `[vhost:…]`, as configuration. */
import { MisuseError } from '../../core/errors.ts';
import type { ListedGateway } from '../../core/protocols/gateway-protocol.ts';
import { Secret } from '../../core/secret.ts';
import { clientCertificateDemand } from './client-certificates.ts';
import type { CertificatePair, HostConfig, HostTls, LoginPageConfig, SupplementConfig, TlsPolicyConfig } from './gateway-config.ts';
import { DEFAULT_PROTOCOLS, type HostProtocols, parseProtocols } from './host-protocols.ts';
import { authOf, DEFAULT_LABEL } from './ocserv-auth.ts';
import { bannerOf, hostPolicy } from './ocserv-policy.ts';
import type { OcservSection } from './ocserv-section.ts';
import { groups, headers } from './ocserv-values.ts';
import { poolsOf } from './pool-rules.ts';
import { DEFAULT_PORTAL, listedGateway, MAX_LISTED_GATEWAYS, MAX_PASS_TIME, MIN_REPORT_INTERVAL } from './portal-config.ts';
import { parseTlsPriorities } from './tls-priorities.ts';

/** `global`: the default host's section; for the default host the same as `section`. */
export function hostOf(section: OcservSection, global: OcservSection, name: string | undefined): HostConfig {
  const label = name === undefined ? DEFAULT_LABEL : `vhost:${name}`;
  const prefix = name === undefined ? '' : `${label}: `;
  const auth = authOf(section, label);
  const login = loginOf(section);
  return {
    ...(name !== undefined && { name }),
    tls: tlsOf(section, global, clientCertificateDemand(auth, login), prefix),
    auth,
    login,
    ...portalOf(section),
    sessions: { cookieTimeout: section.seconds('cookie-timeout'), persistentCookies: section.flag('persistent-cookies') },
    supplements: supplementsOf(section),
    pools: poolsOf(section, prefix),
    policy: hostPolicy(section, global),
  };
}

function tlsOf(section: OcservSection, global: OcservSection, clientCertificates: HostTls['clientCertificates'], prefix: string): HostTls {
  const clientAuthority = section.text('ca-cert');
  const revocationList = section.text('crl');
  const ocspResponse = section.text('ocsp-response');
  return {
    certificates: pairsOf(section, prefix),
    ...(clientAuthority !== undefined && { clientAuthority }),
    ...(revocationList !== undefined && { revocationList }),
    ...(ocspResponse !== undefined && { ocspResponse }),
    policy: prioritiesOf(section, global),
    clientCertificates,
  };
}

function pairsOf(section: OcservSection, prefix: string): CertificatePair[] {
  const { report } = section;
  const certificates = section.list('server-cert');
  const keys = section.list('server-key');
  if (certificates.length === 0 || keys.length === 0) {
    report.error(section.place, `${prefix}the 'server-cert' and 'server-key' configuration options must be specified!`);
    return [];
  }
  if (certificates.length !== keys.length) {
    report.error(section.placeOf('server-key'), `${prefix}the specified number of keys doesn't match the certificates`);
    return [];
  }
  const pinFile = section.text('pin-file');
  const pin = section.text('key-pin');
  return certificates.flatMap((certificate, i) => {
    const key = keys[i];
    if (key === undefined) return [];
    for (const file of [certificate, key]) {
      if (/^(pkcs11|tpmkey|system):/i.test(file.value)) {
        report.error(
          file,
          `keys and certificates in tokens are not supported: name a PEM file instead of '${/^\w+:/.exec(file.value)?.[0]}…'`,
        );
      }
    }
    return [
      {
        certificate: certificate.value,
        key: key.value,
        ...(pinFile !== undefined && { pinFile }),
        ...(pin !== undefined && { pin: new Secret(pin) }),
      },
    ];
  });
}

/** Those of the default host where the host has none (spec "Gateway contract", section 1). */
function prioritiesOf(section: OcservSection, global: OcservSection): TlsPolicyConfig {
  const source = section.has('tls-priorities') ? section : global;
  const written = source.text('tls-priorities') ?? '';
  // Observed: ocserv's own default leaves out TLS 1.3 for Cisco's clients.
  const text = section.flag('cisco-client-compat') && !source.has('tls-priorities') ? `${written}:-VERS-TLS1.3` : written;
  try {
    return parseTlsPriorities(text);
  } catch (error) {
    if (!(error instanceof MisuseError)) throw error;
    section.report.error(source.placeOf('tls-priorities'), `'tls-priorities': ${error.message}`);
    return { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', prefersServerOrder: true };
  }
}

function loginOf(section: OcservSection): LoginPageConfig {
  const preLoginBanner = bannerOf(section, 'pre-login-banner');
  const defaultGroupLabel = section.text('default-select-group');
  const profile = section.text('user-profile');
  const camouflage = camouflageOf(section);
  return {
    ...{ protocols: protocolsOf(section), wantsHostReports: section.flag('host-reports') },
    ...(preLoginBanner !== undefined && { preLoginBanner }),
    groups: groups(section),
    ...(defaultGroupLabel !== undefined && { defaultGroupLabel }),
    listsOwnGroups: section.flag('auto-select-group'),
    ...(profile !== undefined && { profile }),
    headers: headers(section, 'included-http-headers'),
    ...(camouflage !== undefined && { camouflage }),
    isCiscoCompatible: section.flag('cisco-client-compat'),
  };
}

function portalOf(section: OcservSection): Pick<HostConfig, 'portal'> {
  if (!section.flag('portal')) return {};
  const gateways: ListedGateway[] = [];
  const list = section.list('portal-gateway');
  const beyond = list[MAX_LISTED_GATEWAYS];
  if (beyond !== undefined) section.report.error(beyond, `'portal-gateway': there are ${MAX_LISTED_GATEWAYS} gateways at most`);
  for (const setting of list.slice(0, MAX_LISTED_GATEWAYS)) {
    const [address = '', ...words] = setting.value.split(/\s+/);
    const gateway = listedGateway(gateways, { address, ...(words.length > 0 && { label: words.join(' ') }) });
    if (typeof gateway === 'string') section.report.error(setting, `'portal-gateway': ${gateway}`);
    else gateways.push(gateway);
  }
  const passTime = section.seconds('portal-pass-time');
  if (passTime <= 0 || passTime > MAX_PASS_TIME)
    section.report.error(section.placeOf('portal-pass-time'), "'portal-pass-time' is a second at least, and a day at most");
  const passKey = section.text('portal-pass-key');
  const reportInterval = section.seconds('portal-report-interval');
  if (reportInterval < MIN_REPORT_INTERVAL)
    section.report.error(section.placeOf('portal-report-interval'), "'portal-report-interval' is two minutes at least");
  return { portal: { ...DEFAULT_PORTAL, gateways, passTime, reportInterval, ...(passKey !== undefined && { passKey }) } };
}

function protocolsOf(section: OcservSection): HostProtocols {
  const parsed = parseProtocols((section.text('vpn-protocols') ?? '').split(/[\s,]+/).filter((word) => word !== ''));
  if (typeof parsed !== 'string') return parsed;
  section.report.error(section.placeOf('vpn-protocols'), `'vpn-protocols': ${parsed}`);
  return DEFAULT_PROTOCOLS;
}

function camouflageOf(section: OcservSection): LoginPageConfig['camouflage'] {
  if (!section.flag('camouflage')) {
    if (section.has('camouflage_secret') || section.has('camouflage_realm')) {
      const key = section.has('camouflage_secret') ? 'camouflage_secret' : 'camouflage_realm';
      section.report.warning(section.placeOf(key), `'${key}' has no effect without 'camouflage = true'`);
    }
    return undefined;
  }
  const secret = section.text('camouflage_secret');
  if (secret === undefined) {
    section.report.error(section.placeOf('camouflage'), "'camouflage' needs a 'camouflage_secret'");
    return undefined;
  }
  const realm = section.text('camouflage_realm');
  return { secret: new Secret(secret), ...(realm !== undefined && { realm }) };
}

function supplementsOf(section: OcservSection): SupplementConfig {
  const userFolder = section.text('config-per-user');
  const groupFolder = section.text('config-per-group');
  const defaultUserFile = section.text('default-user-config');
  const defaultGroupFile = section.text('default-group-config');
  return {
    ...(userFolder !== undefined && { userFolder }),
    ...(groupFolder !== undefined && { groupFolder }),
    ...(defaultUserFile !== undefined && { defaultUserFile }),
    ...(defaultGroupFile !== undefined && { defaultGroupFile }),
  };
}
