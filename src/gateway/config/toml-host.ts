/** The tables of `gateway.toml` that each host has: `tls`, `auth`, `login`, `portal`, `sessions`, `files`, `pool` and `policy`. */
import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { MisuseError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type {
  AuthConfig,
  AuthMethod,
  CertificateField,
  CertificatePair,
  HostTls,
  LoginPageConfig,
  PoolConfig,
  SessionLifeConfig,
  SupplementConfig,
  TlsPolicyConfig,
} from './gateway-config.ts';
import { type HostProtocols, parseProtocols } from './host-protocols.ts';
import { parseTlsPriorities } from './tls-priorities.ts';
import { bannerText, policyTable, type WrittenPolicy } from './toml-policy.ts';
import { portalTable, type WrittenPortal } from './toml-portal.ts';
import { given } from './toml-server.ts';
import { duration, headerTable, networkOfFamily, path, table, text } from './toml-values.ts';

/** What a host says of itself; the rest is as the default host has it. */
export interface WrittenHost {
  readonly tls: Partial<Omit<HostTls, 'clientCertificates'>> & Pick<HostTls, 'certificates'>;
  readonly auth: AuthConfig;
  readonly login: Partial<LoginPageConfig>;
  readonly portal: WrittenPortal;
  readonly sessions: Partial<SessionLifeConfig>;
  readonly files: SupplementConfig;
  readonly pool: PoolConfig;
  readonly policy: WrittenPolicy;
}

const MAX_METHODS = 4;
const MAX_GROUPS = 256;
const MAX_CERTIFICATES = 8;

const priorities: z.ZodType<TlsPolicyConfig> = z.string().transform((written, context) => {
  try {
    return parseTlsPriorities(written);
  } catch (error) {
    if (!(error instanceof MisuseError)) throw error;
    context.addIssue(error.message);
    return z.NEVER;
  }
});

const certificatePair: z.ZodType<CertificatePair> = table({ certificate: path, key: path, 'pin-file': path.optional() }).transform(
  (pair) => ({
    certificate: pair.certificate,
    key: pair.key,
    ...given({ pinFile: pair['pin-file'] }),
  }),
);

const tlsTable = table({
  certificates: z.array(certificatePair).min(1, 'a certificate and its key are needed').max(MAX_CERTIFICATES),
  'client-authority': path.optional(),
  'revocation-list': path.optional(),
  'ocsp-response': path.optional(),
  priorities: priorities.optional(),
}).transform((tls) => ({
  certificates: tls.certificates,
  ...given({
    clientAuthority: tls['client-authority'],
    revocationList: tls['revocation-list'],
    ocspResponse: tls['ocsp-response'],
    policy: tls.priorities,
  }),
}));

const radius = { config: path, 'nas-identifier': text.optional() };

const method: z.ZodType<AuthMethod> = z.discriminatedUnion(
  'method',
  [
    table({ method: z.literal('plain'), passwords: path.optional(), codes: path.optional() })
      .refine(({ passwords, codes }) => passwords !== undefined || codes !== undefined, 'a file of passwords or of codes is needed')
      .transform(({ passwords, codes }) => ({ method: 'plain' as const, ...given({ passwordFile: passwords, otpFile: codes }) })),
    table({ method: z.literal('pam'), 'min-gid': z.int().min(0).optional() }).transform((pam) => ({
      method: 'pam' as const,
      ...given({ minGid: pam['min-gid'] }),
    })),
    table({ method: z.literal('radius'), ...radius, 'take-groups': z.boolean().default(false) }).transform((written) => ({
      method: 'radius' as const,
      radius: { file: written.config, ...given({ nasIdentifier: written['nas-identifier'] }) },
      takesGroups: written['take-groups'],
    })),
    table({ method: z.literal('certificate') }),
    table({ method: z.literal('oidc'), config: path }).transform(({ config }) => ({ method: 'oidc' as const, file: config })),
  ],
  { error: 'a method was expected: "plain", "pam", "radius", "certificate" or "oidc"' },
);

const accounting: z.ZodType<NonNullable<AuthConfig['accounting']>> = z.discriminatedUnion(
  'method',
  [
    table({ method: z.literal('pam') }),
    table({ method: z.literal('radius'), ...radius }).transform((written) => ({
      method: 'radius' as const,
      radius: { file: written.config, ...given({ nasIdentifier: written['nas-identifier'] }) },
    })),
  ],
  { error: 'a method was expected: "radius" or "pam"' },
);

const OID = /^[012](\.\d{1,10}){1,30}$/;

const certificateUser: z.ZodType<CertificateField> = z
  .string()
  .refine((written) => written === 'mail' || OID.test(written), 'an object identifier like "2.5.4.3" (CN), or "mail", was expected')
  .transform((written) => (written === 'mail' ? { alternativeName: 'rfc822name' as const } : { oid: written }));

const certificateGroup: z.ZodType<CertificateField> = z
  .string()
  .regex(OID, 'an object identifier like "2.5.4.11" (OU) was expected')
  .transform((oid) => ({ oid }));

const isPassword = ({ method: name }: AuthMethod) => name === 'plain' || name === 'pam' || name === 'radius';

const authTable: z.ZodType<AuthConfig> = table({
  required: z.array(method).min(1, 'a method is needed').max(MAX_METHODS),
  alternatives: z.array(method).max(MAX_METHODS).default([]),
  accounting: accounting.optional(),
  'certificate-user': certificateUser.optional(),
  'certificate-group': certificateGroup.optional(),
})
  .superRefine((auth, context) => {
    const all = [...auth.required, ...auth.alternatives];
    if (all.filter(isPassword).length > 1) {
      context.addIssue({ code: 'custom', path: ['required'], message: 'only one of plain, pam and radius can ask for a password' });
    }
    if (all.some(({ method: name }) => name === 'certificate') && auth['certificate-user'] === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['certificate-user'],
        message: 'it is missing: where does a certificate have the name of its user?',
      });
    }
  })
  .transform((auth) => ({
    required: auth.required,
    alternatives: auth.alternatives,
    ...given({ accounting: auth.accounting, certificateUser: auth['certificate-user'], certificateGroup: auth['certificate-group'] }),
  }));

const protocols: z.ZodType<HostProtocols> = z.array(text).transform((words, context) => {
  const parsed = parseProtocols(words);
  if (typeof parsed !== 'string') return parsed;
  context.addIssue(parsed);
  return z.NEVER;
});

const loginTable = table({
  protocols: protocols.optional(),
  banner: bannerText.optional(),
  'host-reports': z.boolean().optional(),
  groups: z
    .array(z.union([text.transform((name) => ({ name, label: name })), table({ name: text, label: text })]))
    .max(MAX_GROUPS)
    .optional(),
  'default-group': text.optional(),
  'list-own-groups': z.boolean().optional(),
  profile: path.optional(),
  headers: headerTable.optional(),
  camouflage: table({ secret: text, realm: text.optional() })
    .transform(({ secret, realm }) => ({ secret: new Secret(secret), ...given({ realm }) }))
    .optional(),
  'cisco-compatible': z.boolean().optional(),
}).transform((login) =>
  given({
    protocols: login.protocols,
    preLoginBanner: login.banner,
    wantsHostReports: login['host-reports'],
    groups: login.groups,
    defaultGroupLabel: login['default-group'],
    listsOwnGroups: login['list-own-groups'],
    profile: login.profile,
    headers: login.headers,
    camouflage: login.camouflage,
    isCiscoCompatible: login['cisco-compatible'],
  }),
);

const sessionsTable = table({ 'resume-time': duration.optional(), 'resume-after-logout': z.boolean().optional() }).transform((sessions) =>
  given({ cookieTimeout: sessions['resume-time'], persistentCookies: sessions['resume-after-logout'] }),
);

const filesTable = table({
  users: path.optional(),
  groups: path.optional(),
  'default-user': path.optional(),
  'default-group': path.optional(),
}).transform((files) =>
  given({
    userFolder: files.users,
    groupFolder: files.groups,
    defaultUserFile: files['default-user'],
    defaultGroupFile: files['default-group'],
  }),
);

const poolTable: z.ZodType<PoolConfig> = table({
  ipv4: networkOfFamily(4).optional(),
  ipv6: networkOfFamily(6).optional(),
  'ipv6-per-client': z.int().min(1).max(128).default(128),
  predictable: z.boolean().default(true),
})
  .refine(({ ipv4, ipv6 }) => ipv4 !== undefined || ipv6 !== undefined, 'a network is needed: ipv4 or ipv6')
  .refine((pool) => pool.ipv6 === undefined || pool['ipv6-per-client'] > pool.ipv6.prefix, {
    error: 'it must be longer than the prefix of the pool',
    path: ['ipv6-per-client'],
  })
  .transform((pool) => ({
    ...given({ ipv4: pool.ipv4, ipv6: pool.ipv6 }),
    ipv6SubnetPrefix: pool['ipv6-per-client'],
    isPredictable: pool.predictable,
  }));

/** As SNI has it. */
export const hostNameText: z.ZodType<string> = z.string().transform((written, context) => {
  const name = domainToASCII(written.trim());
  if (name !== '') return name;
  context.addIssue('a host name was expected');
  return z.NEVER;
});

/** Of the root table and of each `[[host]]`. */
export const HOST_TABLES: { readonly [Key in keyof WrittenHost]: z.ZodType<WrittenHost[Key]> } = {
  tls: tlsTable,
  auth: authTable,
  login: loginTable.prefault({}),
  portal: portalTable.prefault({}),
  sessions: sessionsTable.prefault({}),
  files: filesTable.prefault({}),
  pool: poolTable,
  policy: policyTable.prefault({}),
};
