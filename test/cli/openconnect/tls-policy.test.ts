import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { SallyportError } from '../../../src/core/errors.ts';
import { secureContextOptions, type TlsPolicy, type TlsWishes, tlsPolicy } from '../../../src/node/tls-policy/tls-policy.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { type ClientHello, captureClientHello } from './client-hello.ts';
import { run, settingsFor } from './fake-world.ts';

const NOTHING: TlsWishes = { pfs: false, allowInsecureCrypto: false };

function policyOf(gnutlsPriority: string): TlsPolicy {
  return tlsPolicy({ ...NOTHING, gnutlsPriority });
}

/** What a TLS client of Node's sends with the policy. */
async function ourHello(policy: TlsPolicy): Promise<ClientHello> {
  const hello = await ourHelloIfAny(policy);
  if (hello === undefined) throw new Error('no ClientHello');
  return hello;
}

/** Undefined where OpenSSL has nothing to offer: no suite for the only version that is allowed. */
async function ourHelloIfAny(policy: TlsPolicy): Promise<ClientHello | undefined> {
  return captureClientHello(async (port) => {
    const socket = tls.connect({ port, host: '127.0.0.1', ...secureContextOptions(policy) });
    socket.on('error', () => undefined); // the other side hangs up
    await new Promise((resolve) => socket.on('close', resolve));
  });
}

describe('TLS without options', () => {
  it('is TLS 1.2 and 1.3, AES-256-GCM first', () => {
    const policy = tlsPolicy(NOTHING);
    assert.equal(policy.minVersion, 'TLSv1.2');
    assert.equal(policy.maxVersion, 'TLSv1.3');
    assert.deepEqual(policy.ciphersuites, ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256']);
    assert.ok(policy.ciphers.startsWith('ECDHE-ECDSA-AES256-GCM-SHA384:'));
    assert.ok(policy.ciphers.includes(':AES256-SHA:'), 'gateways without forward secrecy are reached');
    assert.equal(policy.dtlsCiphers, undefined, 'DTLS offers all it has');
    assert.equal(policy.groups, undefined);
    assert.equal(policy.signatures, undefined);
  });

  it('is what Node can do', async () => {
    const hello = await ourHello(tlsPolicy(NOTHING));
    assert.equal(hello.maxVersion, 0x0304);
    assert.ok(hello.suites.includes(0xc030));
  });
});

describe('--pfs', () => {
  it('leaves out every suite without forward secrecy', () => {
    const suites = tlsPolicy({ ...NOTHING, pfs: true }).ciphers.split(':');
    assert.ok(suites.length > 5);
    assert.deepEqual(
      suites.filter((suite) => !/^(ECDHE|DHE)-/.test(suite)),
      [],
    );
  });

  it('does so whatever the other options say', async () => {
    const hello = await ourHello(tlsPolicy({ ...NOTHING, pfs: true, opensslCiphers: 'AES256-SHA:ECDHE-RSA-AES256-SHA' }));
    assert.ok(hello.suites.includes(0xc014));
    assert.ok(!hello.suites.includes(0x0035));
    assert.ok(
      !tlsPolicy({ ...NOTHING, pfs: true, gnutlsPriority: 'PERFORMANCE' })
        .ciphers.split(':')
        .includes('AES128-SHA'),
    );
  });
});

describe('--allow-insecure-crypto', () => {
  it('allows TLS 1.0 and all that OpenSSL has a level against', async () => {
    const policy = tlsPolicy({ ...NOTHING, allowInsecureCrypto: true });
    assert.equal(policy.minVersion, 'TLSv1');
    assert.ok(policy.ciphers.endsWith(':@SECLEVEL=0'));
    const hello = await ourHello(policy);
    assert.ok(hello.signatures.includes(0x0201), 'RSA with SHA-1');
  });

  it('says what this OpenSSL does not have', async () => {
    const { stderr, status } = await run(['--allow-insecure-crypto', 'vpn.example']);
    assert.match(stderr, /^WARNING: this OpenSSL \([\d.]+.*\) has no 3DES and RC4: servers that need it stay out of reach\.\n$/);
    assert.equal(status, undefined);
  });

  it('does not widen what a priority string says', () => {
    const policy = tlsPolicy({ ...NOTHING, allowInsecureCrypto: true, gnutlsPriority: 'NORMAL:-CIPHER-ALL:+AES-256-GCM' });
    assert.equal(policy.minVersion, 'TLSv1.2');
    assert.ok(policy.ciphers.split(':').every((name) => name.includes('AES256-GCM') || name === '@SECLEVEL=0'));
  });
});

describe('--gnutls-priority', () => {
  it('counts for DTLS too', () => {
    assert.deepEqual(policyOf('NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305').dtlsCiphers, ['chacha20-poly1305']);
    assert.deepEqual(policyOf('NORMAL:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM').dtlsCiphers, ['aes-128-gcm', 'aes-256-gcm']);
    assert.deepEqual(policyOf('NORMAL:!AES-256-GCM').dtlsCiphers, ['chacha20-poly1305', 'aes-128-gcm']);
    assert.deepEqual(policyOf('NORMAL:-CIPHER-ALL:+AES-256-CBC').dtlsCiphers, []);
    assert.equal(policyOf('NORMAL:-VERS-DTLS-ALL').dtlsCiphers?.length, 3);
  });

  it('sets versions', () => {
    const range = (text: string) => {
      const { minVersion, maxVersion } = policyOf(text);
      return `${minVersion} ${maxVersion}`;
    };
    assert.equal(range('NORMAL'), 'TLSv1.2 TLSv1.3');
    assert.equal(range('NORMAL:-VERS-TLS1.3'), 'TLSv1.2 TLSv1.2');
    assert.equal(range('NORMAL:-VERS-TLS1.2'), 'TLSv1.3 TLSv1.3');
    assert.equal(range('NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3'), 'TLSv1.2 TLSv1.3');
    assert.equal(range('NORMAL:+VERS-TLS1.0'), 'TLSv1 TLSv1.3');
    assert.equal(range('NORMAL:-VERS-TLS-ALL:+VERS-TLS1.0:%COMPAT'), 'TLSv1 TLSv1');
    assert.equal(range('NORMAL:-VERS-TLS1.3:-VERS-TLS1.2'), 'TLSv1 TLSv1.1');
    assert.equal(range('NORMAL:-KX-ALL'), 'TLSv1.3 TLSv1.3');
  });

  it('sets key exchanges, groups and signatures', () => {
    const policy = policyOf('NORMAL:-KX-ALL:+ECDHE-RSA:-CURVE-ALL:+CURVE-X25519:+GROUP-SECP256R1:-SIGN-ALL:+SIGN-RSA-SHA256');
    assert.ok(policy.ciphers.split(':').every((suite) => suite.startsWith('ECDHE-RSA-')));
    assert.deepEqual(policy.groups, ['X25519', 'P-256']);
    assert.deepEqual(policy.signatures, ['rsa_pkcs1_sha256']);
  });

  it('is not case-sensitive, except for flags', () => {
    assert.deepEqual(policyOf('normal:-cipher-all:+aes-256-gcm'), policyOf('NORMAL:-CIPHER-ALL:+AES-256-GCM'));
    assert.throws(() => policyOf('NORMAL:%compat'), /'%compat' is unknown/);
  });

  it('lets go what is not there anyway', () => {
    assert.deepEqual(policyOf('NORMAL:-3DES-CBC:-ARCFOUR-128:!MD5:-VERS-SSL3.0:-AES-128-CCM:+COMP-NULL:-DHE-DSS'), policyOf('NORMAL'));
  });

  it('refuses by name what it cannot do, and what is unknown', () => {
    for (const word of [
      '+3DES-CBC',
      '+ARCFOUR-128',
      '+VERS-SSL3.0',
      '+ANON-ECDH',
      '%NO_EXTENSIONS',
      '%UNSAFE_RENEGOTIATION',
      '-FOO',
      'AES-128-GCM',
      '',
      '+NORMAL',
    ]) {
      const text = `NORMAL:${word}`;
      assert.throws(() => policyOf(text), {
        message: `Failed to set GnuTLS priority string ("${text}"): '${word}' is unknown, or cannot be done with OpenSSL.`,
      });
    }
    for (const text of ['', 'FOO', ':%COMPAT', '@SYSTEM', 'SUITEB128']) assert.throws(() => policyOf(text), /is unknown/);
  });

  it('refuses what leaves nothing, or a hole between versions', () => {
    for (const text of ['NONE', 'NORMAL:-VERS-ALL', 'NORMAL:-CIPHER-ALL', 'NORMAL:-MAC-ALL', 'NORMAL:-GROUP-ALL', 'NORMAL:-SIGN-ALL']) {
      assert.throws(() => policyOf(text), /No or insufficient priorities were set/);
    }
    assert.throws(() => policyOf('NORMAL:+VERS-TLS1.0:-VERS-TLS1.2'), /leave out a version between/);
    assert.throws(() => policyOf('NORMAL:-KX-ALL:-VERS-TLS1.3'), /leave no version and cipher suite/);
  });

  it('ends the command with status 1, after a warning', async () => {
    const { stderr, stdout, status } = await run(['--gnutls-priority=NORMAL:+FOO', '--timestamp', 'vpn.example']);
    assert.match(stderr, /^WARNING: You specified --gnutls-priority\./);
    assert.match(stderr, /\n\[2026-11-03 04:05:06\] Failed to set GnuTLS priority string \("NORMAL:\+FOO"\): '\+FOO' is unknown/);
    assert.deepEqual([stdout, status], ['', 1]);
  });

  it('throws nothing but its own errors, whatever the string', () => {
    const word = fc.constantFrom(...WORDS, '+', '-', '%', '', 'x', '+VERS-TLS1.4', '__proto__', '+constructor');
    fc.assert(
      fc.property(fc.constantFrom('NORMAL', 'NONE', 'toString'), fc.array(word, { maxLength: 8 }), (keyword, words) => {
        try {
          policyOf([keyword, ...words].join(':'));
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Words that both sides know. */
const WORDS = [
  'CIPHER-ALL',
  'AES-256-GCM',
  'AES-128-GCM',
  'CHACHA20-POLY1305',
  'AES-256-CBC',
  'AES-128-CBC',
  'KX-ALL',
  'ECDHE-RSA',
  'ECDHE-ECDSA',
]
  .concat([
    'RSA',
    'DHE-RSA',
    'MAC-ALL',
    'SHA1',
    'SHA256',
    'SHA384',
    'AEAD',
    'VERS-ALL',
    'VERS-TLS-ALL',
    'VERS-TLS1.0',
    'VERS-TLS1.1',
    'VERS-TLS1.2',
  ])
  .concat([
    'VERS-TLS1.3',
    'GROUP-ALL',
    'GROUP-X25519',
    'CURVE-SECP256R1',
    'GROUP-SECP384R1',
    'GROUP-FFDHE2048',
    'SIGN-ALL',
    'SIGN-RSA-SHA256',
  ])
  .concat(['SIGN-ECDSA-SHA384', 'SIGN-ECDSA-SECP256R1-SHA256', 'SIGN-RSA-PSS-SHA256', 'SIGN-EDDSA-ED25519', 'SIGN-RSA-SHA1', 'COMP-NULL'])
  .flatMap((name) => [`+${name}`, `-${name}`, `!${name}`])
  .concat(['%COMPAT', '%SERVER_PRECEDENCE', '%SAFE_RENEGOTIATION', '-3DES-CBC', '-ARCFOUR-128']);

describe('--gnutls-priority, compared with openconnect', { skip: missing('openconnect') }, () => {
  const SCSV = 0x00ff; // OpenSSL says "renegotiation_info" this way

  async function theirHello(priority: string): Promise<ClientHello | undefined> {
    return captureClientHello(async (port) => {
      const argv = ['--gnutls-priority', priority, '--non-inter', `127.0.0.1:${port}`];
      await once(spawn('openconnect', argv, { stdio: 'ignore', timeout: 60_000 }), 'exit');
    });
  }

  /** Never more than GnuTLS would offer. */
  async function assertNotWeaker(priority: string): Promise<void> {
    const theirs = await theirHello(priority);
    let policy: TlsPolicy;
    try {
      policy = policyOf(priority);
    } catch (error) {
      assert.ok(error instanceof SallyportError);
      return; // refusing is never weaker
    }
    assert.ok(theirs !== undefined, `openconnect refuses ${priority}, we do not`);
    const ours = await ourHelloIfAny(policy);
    if (ours === undefined) return; // neither is offering nothing
    const beyond = (kind: 'suites' | 'groups' | 'signatures') =>
      ours[kind].filter((one) => !theirs[kind].includes(one) && one !== SCSV).map((one) => one.toString(16));
    const isTls13Only = policy.minVersion === 'TLSv1.3'; // GnuTLS falls back to TLS 1.1 where 1.2 is left out
    assert.ok(isTls13Only || ours.maxVersion <= theirs.maxVersion, `${priority}: version ${ours.maxVersion.toString(16)}`);
    if (!isTls13Only) assert.deepEqual(beyond('suites'), [], `${priority}: suites`);
    if (policy.groups !== undefined) assert.deepEqual(beyond('groups'), [], `${priority}: groups`);
    if (policy.signatures !== undefined && !isTls13Only && theirs.signatures.length > 0) {
      assert.deepEqual(beyond('signatures'), [], `${priority}: signatures`);
    }
  }

  it('never offers more, for the keywords and what people write', { timeout: HANG_LIMIT }, async () => {
    const keywords = ['NORMAL', 'PERFORMANCE', 'SECURE128', 'SECURE192', 'SECURE256', 'PFS', 'LEGACY', 'NONE'];
    const common = [
      'NORMAL:-VERS-ALL:+VERS-TLS1.2',
      'NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305',
      'NORMAL:+SHA256:+SHA384',
      'NONE:+VERS-TLS1.2:+AES-128-GCM:+ECDHE-RSA:+AEAD:+COMP-NULL:+SIGN-ALL:+GROUP-ALL',
      'SECURE256:+AES-256-CBC:+SHA384',
      'SECURE128:-AES-128-GCM:+AES-128-GCM',
      'NORMAL:!SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256:!VERS-TLS1.3',
    ];
    for (const priority of [...keywords, ...common]) await assertNotWeaker(priority);
  });

  it('offers the same suites for NORMAL, without what OpenSSL does not have', async () => {
    const [ours, theirs] = [await ourHello(policyOf('NORMAL')), await theirHello('NORMAL')];
    const ccm = [0x1304, 0xc0ac, 0xc0ad, 0xc09c, 0xc09d, 0xc09e, 0xc09f];
    assert.deepEqual(
      ours.suites.filter((suite) => suite !== SCSV),
      theirs?.suites.filter((suite) => !ccm.includes(suite)),
    );
  });

  it('never offers more, for any mixture', { timeout: sized(HANG_LIMIT, 900_000) }, async () => {
    const priority = fc
      .tuple(
        fc.constantFrom('NORMAL', 'SECURE128', 'SECURE256', 'PFS'),
        fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 6 }),
      )
      .map(([keyword, words]) => [keyword, ...words].join(':'));
    await fc.assert(fc.asyncProperty(priority, assertNotWeaker), { numRuns: sized(40, 600) });
  });
});

describe('--openssl-ciphers', () => {
  const ciphersOf = (list: string) => tlsPolicy({ ...NOTHING, opensslCiphers: list });

  it('replaces the list for TLS 1.2, never with anonymous suites', async () => {
    const policy = ciphersOf('AES128-SHA:ADH-AES256-SHA');
    assert.equal(policy.ciphers, 'AES128-SHA:ADH-AES256-SHA:!aNULL:!eNULL');
    const hello = await ourHello(policy);
    assert.deepEqual(
      hello.suites.filter((suite) => suite < 0x1300 && suite !== 0xff),
      [0x002f],
    );
  });

  it('replaces the suites of TLS 1.3 where it names some', () => {
    assert.deepEqual(ciphersOf('TLS_AES_128_GCM_SHA256:AES128-SHA').ciphersuites, ['TLS_AES_128_GCM_SHA256']);
    assert.equal(ciphersOf('TLS_AES_128_GCM_SHA256').minVersion, 'TLSv1.3');
  });

  it('is refused where OpenSSL refuses it', async () => {
    for (const list of ['nosuch', ''])
      assert.throws(() => ciphersOf(list), /^MisuseError: Failed to set OpenSSL cipher list \(".*"\): .*no cipher match/);
    assert.equal((await run(['--openssl-ciphers=nosuch', 'vpn.example'])).status, 1);
    assert.equal((await settingsFor(['--openssl-ciphers=AES128-SHA', 'vpn.example'])).trust.tls.ciphers, 'AES128-SHA:!aNULL:!eNULL');
  });
});
