/** The ways to configure ocserv, each shown by what Debian's openconnect makes of it. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { Lab } from '../support/lab.ts';
import { ALICE, Ocserv, type OcservOptions, type OcservUser } from '../support/ocserv.ts';
import type { OcservSettings } from '../support/ocserv-config.ts';
import { OpenConnect, type OpenConnectOptions } from '../support/openconnect.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { makeAuthority, makeClientCertificate } from '../support/throwaway-certificates.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'openssl');

/** Starts ocserv and connects to it; the answer is what openconnect printed once the tunnel was up. */
async function connect(
  lab: Lab,
  options: OcservOptions,
  client: Partial<OpenConnectOptions> = {},
): Promise<{ ocserv: Ocserv; output: string; dtls: string }> {
  const ocserv = await Ocserv.start(lab, options);
  const user = options.users?.[0] ?? ALICE;
  const openconnect = await OpenConnect.start(lab.client, { gateway: ocserv.gateway, pin: ocserv.pin, user, ...client });
  const { dtls } = await openconnect.up();
  return { ocserv, dtls, output: openconnect.program.output };
}

/** The code of RFC 4226 for a counter. */
function hotp(secret: Uint8Array, counter: number): string {
  const text = Buffer.alloc(8);
  text.writeBigUInt64BE(BigInt(counter));
  const mac = createHmac('sha1', secret).update(text).digest();
  const at = (mac[19] ?? 0) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

describe('ocserv lets in', { skip, timeout: HANG_LIMIT }, () => {
  const users: readonly OcservUser[] = [
    { name: 'ü ser"<&>\'', password: 'pä"ss <&> \'$`\\x' },
    { name: 'empty', password: '' },
  ];
  for (const user of users) {
    it(`${user.name} with the password ${JSON.stringify(user.password)}`, async () => {
      await using lab = await Lab.open();
      const { ocserv } = await connect(lab, { users: [user], debugLevel: 2 });
      assert.ok(ocserv.log.includes(`main[${user.name}]`), ocserv.log);
    });
  }

  it('nobody with a wrong password', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab);
    const client = await OpenConnect.start(lab.client, { gateway: ocserv.gateway, pin: ocserv.pin, user: { ...ALICE, password: 'guess' } });
    assert.equal((await client.program.finish()).code, 1);
    assert.match(client.program.output, /Login failed/);
  });

  it('a member of a group, with the settings of the group and then of the user', async () => {
    await using lab = await Lab.open();
    const { ocserv, output } = await connect(
      lab,
      {
        users: [{ name: 'bob', password: 'secret', groups: ['staff', 'admins'] }],
        settings: { 'select-group': ['staff[Staff people]', 'admins'] },
        perGroup: { staff: { dns: ['10.77.0.53'], route: ['10.8.0.0/16'] } },
        perUser: { bob: { 'explicit-ipv4': '10.77.0.99', dns: ['10.77.0.54'] } },
      },
      { args: ['--authgroup', 'Staff people'] },
    );
    const [user] = await ocserv.control.users();
    assert.equal(user?.Groupname, 'staff');
    assert.equal(user.IPv4, '10.77.0.99');
    assert.match(output, /X-CSTP-DNS: 10\.77\.0\.54\n/);
    assert.match(output, /X-CSTP-Split-Include: 10\.8\.0\.0\/255\.255\.0\.0\n/);
  });

  it('a user with a one-time code after the password', async () => {
    await using lab = await Lab.open();
    const secret = Buffer.from('12345678901234567890');
    const users = [{ ...ALICE, otp: { kind: 'HOTP', secret } as const }];
    const ocserv = await Ocserv.start(lab, { login: 'password-and-code', users });
    const client = await lab.client.start(
      'openconnect',
      ['--user', ALICE.name, '--servercert', ocserv.pin, '--authenticate', ocserv.gateway],
      {
        input: `${ALICE.password}\n${hotp(secret, 0)}\n`,
      },
    );
    const { code, output } = await client.finish();
    assert.match(output, /Please enter your OTP password/);
    assert.equal(code, 0, output);
  });

  it('a user with a certificate, in the group that the certificate names', async () => {
    await using lab = await Lab.open();
    const authority = await makeAuthority(lab.folder, 'users');
    const { certificate, key } = await makeClientCertificate(lab.folder, authority, [
      ['UID', 'carol'],
      ['OU', 'staff'],
    ]);
    const byCertificate = ['--certificate', certificate, '--sslkey', key];
    const { ocserv } = await connect(
      lab,
      { login: 'certificate', clientAuthority: authority.certificate },
      { args: byCertificate, user: { name: 'carol', password: '' } },
    );
    const [user] = await ocserv.control.users();
    assert.deepEqual([user?.Username, user?.Groupname], ['carol', 'staff']);
  });

  it('a user with a certificate and a password, where the password file knows the group too', async () => {
    await using lab = await Lab.open();
    const authority = await makeAuthority(lab.folder, 'users');
    const { certificate, key } = await makeClientCertificate(lab.folder, authority, [
      ['UID', 'carol'],
      ['OU', 'staff'],
    ]);
    const users = [{ name: 'carol', password: 'secret', groups: ['staff'] }];
    const options: OcservOptions = { login: 'certificate-and-password', clientAuthority: authority.certificate, users };
    const { ocserv } = await connect(lab, options, { args: ['--certificate', certificate, '--sslkey', key] });
    assert.equal((await ocserv.control.users())[0]?.Username, 'carol');
    const without = await OpenConnect.start(lab.client, {
      gateway: ocserv.gateway,
      pin: ocserv.pin,
      user: users[0] ?? ALICE,
      device: 'tun1',
    });
    assert.notEqual((await without.program.finish()).code, 0);
  });
});

describe('ocserv offers', { skip, timeout: HANG_LIMIT }, () => {
  it('what its configuration says to clients, header by header', async () => {
    await using lab = await Lab.open();
    const { output } = await connect(lab, {
      settings: {
        banner: 'Hello',
        dns: ['10.77.0.1', 'fd77::1'],
        nbns: ['10.77.0.2'],
        'split-dns': ['a.test', 'b.test'],
        route: ['10.0.0.0/8', 'fd77::/64'],
        'no-route': ['10.9.0.0/16'],
        'proxy-url': 'http://proxy.test/%{U}.pac',
        'client-bypass-protocol': true,
        dpd: 20,
        keepalive: 30,
        'idle-timeout': 600,
        'session-timeout': 3_600,
        'rekey-time': 600,
        'rekey-method': 'new-tunnel',
      },
    });
    const headers = [...output.matchAll(/^X-(?:CSTP|DTLS)-.*$/gm)].map(([line]) =>
      line.replace(/(Rekey-Time|App-ID): .*/, '$1: …').replace(/(Timeout-Remaining): 3(?:600|5[5-9]\d)$/, '$1: …'),
    );
    assert.deepEqual(headers, [
      'X-CSTP-Version: 1',
      'X-CSTP-Server-Name: ocserv 1.1.6',
      'X-CSTP-Hostname: client',
      'X-CSTP-DPD: 20',
      'X-CSTP-Default-Domain: inside.test',
      'X-CSTP-Address: 10.77.0.50',
      'X-CSTP-Netmask: 255.255.255.0',
      'X-CSTP-Address-IP6: fd77::9a7c:c09f:b76e:58ef/128',
      'X-CSTP-DNS: 10.77.0.1',
      'X-CSTP-DNS: fd77::1',
      'X-CSTP-NBNS: 10.77.0.2',
      'X-CSTP-Split-DNS: a.test',
      'X-CSTP-Split-DNS: b.test',
      'X-CSTP-Split-Include: 10.0.0.0/255.0.0.0',
      'X-CSTP-Split-Include-IP6: fd77::/64',
      'X-CSTP-Tunnel-All-DNS: false',
      'X-CSTP-Client-Bypass-Protocol: true',
      'X-CSTP-Split-Exclude: 10.9.0.0/255.255.0.0',
      'X-CSTP-Keepalive: 30',
      'X-CSTP-Idle-Timeout: 600',
      'X-CSTP-Smartcard-Removal-Disconnect: true',
      'X-CSTP-Rekey-Time: …',
      'X-CSTP-Rekey-Method: new-tunnel',
      'X-CSTP-MSIE-Proxy-Pac-URL: http://proxy.test/alice.pac',
      'X-CSTP-Session-Timeout: 3600',
      'X-CSTP-Session-Timeout-Remaining: …', // seconds of the hour have passed
      'X-CSTP-Disconnected-Timeout: none',
      'X-CSTP-Keep: true',
      'X-CSTP-TCP-Keepalive: true',
      'X-CSTP-License: accept',
      'X-DTLS-DPD: 20',
      'X-DTLS-Port: 443',
      'X-DTLS-Rekey-Time: …',
      'X-DTLS-Keepalive: 30',
      'X-DTLS-App-ID: …',
      'X-DTLS-CipherSuite: PSK-NEGOTIATE',
      'X-CSTP-Base-MTU: 1500',
      'X-CSTP-MTU: 1434',
      'X-CSTP-Banner: Hello',
    ]);
  });

  it('a profile, with its hash', async () => {
    await using lab = await Lab.open();
    const { output } = await connect(lab, { userProfile: '<AnyConnectProfile/>\n' }, { args: ['--dump-http-traffic'] });
    assert.match(output, /<uri>\/profiles\/.*profile\.xml<\/uri><hash type="sha1">0ABFF391AC64F7B150B256D64D15F35D9C0DA4CA<\/hash>/);
  });

  /** Settings and client arguments, and what comes of them: lines that the client prints, in this order. */
  const variants: readonly {
    name: string;
    settings: OcservSettings;
    args?: readonly string[];
    hasDtls: boolean;
    lines: readonly string[];
  }[] = [
    {
      name: 'DTLS 1.2 by a shared master secret',
      settings: { 'dtls-psk': false, 'dtls-legacy': true },
      hasDtls: true,
      lines: ['X-DTLS12-CipherSuite: AES256-GCM-SHA384', 'X-DTLS-MTU: 1434', '(DTLS1.2)-(RSA)-(AES-256-GCM)'],
    },
    {
      name: "Cisco's DTLS from before the standard",
      settings: { 'dtls-psk': false, 'dtls-legacy': true },
      args: ['--dtls-ciphers', 'AES128-SHA', '--dtls12-ciphers', ''],
      hasDtls: true,
      lines: ['X-DTLS-CipherSuite: AES128-SHA', 'X-CSTP-MTU: 1406', '(DTLS0.9)-(RSA)-(AES-128-CBC)-(SHA1)'],
    },
    { name: 'no DTLS without a port', settings: { 'udp-port': 0 }, hasDtls: false, lines: ['X-CSTP-MTU: 1472', 'No DTLS address'] },
    {
      name: 'no DTLS without a way to agree on keys',
      settings: { 'dtls-psk': false, 'dtls-legacy': false },
      hasDtls: false,
      lines: ['X-CSTP-MTU: 1472', 'No DTLS address'],
    },
    {
      name: 'LZ4 on both channels',
      settings: { compression: true },
      hasDtls: true,
      lines: ['X-DTLS-Content-Encoding: oc-lz4', 'X-CSTP-Content-Encoding: oc-lz4', 'SSL + LZ4 connected and DTLS + LZ4'],
    },
    {
      name: 'a smaller MTU, without IPv6 below 1280',
      settings: { mtu: 1_300 },
      hasDtls: true,
      lines: ['X-CSTP-MTU: 1234', 'Configured as 10.77.0.50, with'],
    },
  ];
  for (const { name, settings, args = [], hasDtls, lines } of variants) {
    it(name, async () => {
      await using lab = await Lab.open();
      const { dtls, output } = await connect(lab, { settings }, { args });
      assert.match(dtls, hasDtls ? /^(connected|established)$/ : /^disabled$/);
      const places = lines.map((line) => output.indexOf(line));
      assert.ok(!places.includes(-1) && places.every((place, i) => place > (places[i - 1] ?? -1)), `${lines.join('\n')}\nin\n${output}`);
    });
  }
});
