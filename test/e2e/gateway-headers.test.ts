/**
 * The configuration files of test/vectors/ocserv-conf, each given to ocserv 1.1.6 and to our gateway: the same client connects to both, and what they
 * answer is compared line by line, pages and headers. Every difference is below, with its reason, and in docs/gateway-differences.md.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VECTOR_NAMES } from '../gateway/config/config-folder.ts';
import { assertBuilt } from '../support/drop-in.ts';
import { differenceOf, type HeaderDifference, isSameOrder } from '../support/gateway-headers.ts';
import { OUR_GATEWAY } from '../support/gateway-program.ts';
import { DEBIAN_OCSERV } from '../support/ocserv.ts';
import { missing } from '../support/requirements.ts';
import { answersOf, visitsOf } from './vector-exchange.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'openssl', 'freeradius', 'useradd', 'chpasswd');

type Difference = (HeaderDifference | { readonly refusedByOcserv: RegExp }) & { readonly reason: string };

const HELPS =
  'a page for people who came without the secret word: 1.1.6 does not know camouflage, and its first answer is that there is no such page';
const OPTIONS = 'each choice has its value, which is its text: clients take the text where there is none';
const PROFILE = 'the profile is offered by its name; ocserv tells everybody where it is on the disk';
const VHOST = 'Observed: a virtual host of ocserv does not understand a network with its prefix, and has none then';

/** By the file's name, with the visit's title where it has several. */
const DIFFERENCES: Readonly<Record<string, Difference>> = {
  camouflage: {
    ocserv: ['HTTP/1.1 404 Not found', 'Content-length: 50', 'Connection: close', '< <html><body><h1>404 Not Found</h1></body></html>'],
    ours: [],
    reason: HELPS,
  },
  certificate: {
    ocserv: ['Content-Length: 323', '< <option>staff</option>'],
    ours: ['Content-Length: 337', '< <option value="staff">staff</option>'],
    reason: OPTIONS,
  },
  'debian-sample': {
    ocserv: ['X-CSTP-Rekey-Method: ssl'],
    ours: ['X-CSTP-Rekey-Method: new-tunnel'],
    reason: 'the file leaves TLS 1.2 alone, where `ssl` means a renegotiation: ours has none, and says so',
  },
  headers: {
    ocserv: ['Content-Length: 487', ...profileLines('@FOLDER@/profile.xml')],
    ours: ['Content-Length: 478', ...profileLines('profile.xml')],
    reason: PROFILE,
  },
  'split-tunnel': {
    ocserv: ['X-CSTP-Split-Include-IP6: fd00:10::/32'],
    ours: [],
    reason: 'the client has no IPv6 address here, and nothing to send to an IPv6 network from',
  },
  'groups: her own group': groupDifference(),
  'groups: a group by its text': groupDifference(),
  'vhosts: a host by its name in punycode': { refusedByOcserv: /Server configuration error/, reason: VHOST },
  'vhosts: a host that wants certificates': {
    ocserv: ['X-CSTP-MTU: 1472'],
    ours: [
      ...['X-DTLS-DPD: 60', 'X-DTLS-Port: 443', 'X-DTLS-Rekey-Time: <time with jitter>', 'X-DTLS-Keepalive: 3600'],
      ...['X-DTLS-App-ID: <32 bytes>', 'X-DTLS-CipherSuite: PSK-NEGOTIATE', 'X-CSTP-MTU: 1434'],
    ],
    reason: 'Observed: ocserv has no UDP for virtual hosts; udp-port is the machine’s, and so all have it here',
  },
  'vhosts: a host with PAM': { refusedByOcserv: /Server configuration error/, reason: VHOST },
};

/** Log-in page, again for the group, and the tunnel. */
function groupDifference(): Difference {
  const page = (length: number, option: string) => [`Content-Length: ${length}`, `< ${option}`];
  const [theirs, own] = [page(474, '<option>DEFAULT</option>'), page(490, '<option value="DEFAULT">DEFAULT</option>')];
  return {
    ocserv: [...theirs, ...theirs, 'X-CSTP-Split-Include: 10.37.0.0/255.255.0.0'],
    ours: [...own, ...own],
    reason: `${OPTIONS}; with append-routes, ocserv says the host's routes twice`,
  };
}

function profileLines(name: string): string[] {
  const hash = 'DA39A3EE5E6B4B0D3255BFEF95601890AFD80709'; // of an empty file
  const manifest = `<file type="profile" service-type="user"><uri>/profiles/${name}</uri><hash type="sha1">${hash}</hash></file>`;
  return [
    `Set-Cookie: webvpnc=bu:/&p:t&iu:1/&sh:<fingerprint>&lu:/+CSCOT+/translation-table?textdomain%3DAnyConnect%26type%3Dmanifest&fu:profiles%2F${name}&fh:${hash}; path=/; Secure; HttpOnly`,
    `< <config client="vpn" type="private"><vpn-profile-manifest><vpn rev="1.0">${manifest}</vpn></vpn-profile-manifest>`,
  ];
}

/** A start, a log-in and an end of each: some seconds. */
const VECTOR_TIMEOUT = 60_000;

describe('what clients are told', { skip, concurrency: 3 }, () => {
  it('is compared for 20 files and more', () => {
    assertBuilt();
    assert.ok(VECTOR_NAMES.length >= 20);
    const keys = VECTOR_NAMES.flatMap((name) => visitsOf(name).map(({ title }) => keyOf(name, title)));
    assert.deepEqual(
      Object.keys(DIFFERENCES).filter((key) => !keys.includes(key)),
      [],
      'a difference of a file that is not there',
    );
  });

  for (const name of VECTOR_NAMES) {
    it(`is the same with ${name}.conf, but for what has a reason`, { timeout: VECTOR_TIMEOUT }, async () => {
      const [theirs, own] = await Promise.all([answersOf(name, DEBIAN_OCSERV), answersOf(name, OUR_GATEWAY)]);
      for (const [i, { title }] of visitsOf(name).entries()) compare(keyOf(name, title), theirs[i] ?? [], own[i] ?? []);
    });
  }
});

function keyOf(name: string, title: string | undefined): string {
  return title === undefined ? name : `${name}: ${title}`;
}

function compare(key: string, theirs: readonly string[], own: readonly string[]): void {
  const expected = DIFFERENCES[key];
  assert.ok(own.includes('HTTP/1.1 200 CONNECTED'), `${key}: ours connects\n${own.join('\n')}`);
  if (expected !== undefined && 'refusedByOcserv' in expected) {
    assert.match(theirs.at(-3) ?? '', expected.refusedByOcserv, key);
    return;
  }
  assert.ok(theirs.includes('HTTP/1.1 200 CONNECTED'), `${key}: ocserv connects\n${theirs.join('\n')}`);
  const { ocserv = [], ours = [] } = expected ?? {};
  assert.deepEqual(differenceOf(theirs, own), { ocserv, ours }, key);
  assert.ok(isSameOrder(theirs, own), `${key}: the same order`);
}
