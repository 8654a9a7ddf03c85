import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, SallyportError } from '../../../../src/core/errors.ts';
import { renderXml } from '../../../../src/core/markup/xml.ts';
import {
  type AuthSection,
  type GatewayDocument,
  type HostScan,
  parseGatewayDocument,
  renderGatewayDocument,
} from '../../../../src/core/protocols/anyconnect/gateway-document.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { defined, loginForms, trimmedText } from '../../../support/login-documents.ts';
import { captured } from '../../../support/login-script.ts';
import { sized } from '../../../support/size.ts';

function parse(inner: string, { os = 'linux-64', type = 'auth-request' } = {}): GatewayDocument {
  return parseGatewayDocument(`<config-auth client="vpn" type="${type}">${inner}</config-auth>`, os);
}

/** A document with its secrets open, to compare. */
function opened({ sessionToken, hostScan, opaque, ...others }: GatewayDocument): object {
  return {
    ...others,
    ...(sessionToken !== undefined && { sessionToken: sessionToken.reveal() }),
    ...(hostScan !== undefined && { hostScan: openedScan(hostScan) }),
    ...(opaque !== undefined && { opaque: renderXml(opaque) }),
  };
}

function openedScan({ token, ...others }: HostScan): object {
  return { ...others, token: token.reveal() };
}

const NOTHING = { type: 'auth-request', wantsClientCertificate: false, isCertificateAuthenticated: false };

describe('gateway’s log-in document', () => {
  it('is understood by what is in its root, whatever the root says', () => {
    assert.deepEqual(opened(parse('')), NOTHING);
    assert.deepEqual(opened(parseGatewayDocument('<config-auth/>', 'linux')), NOTHING);
    assert.equal(parse('<auth id="success"/>', { type: 'complete' }).type, 'complete');
    assert.equal(parse('<auth id="success"/>', { type: 'new' }).auth?.id, 'success');
    assert.deepEqual(
      opened(parse('<session-id>1</session-id><capabilities/><aggauth-handle>2</aggauth-handle><version who="sg">0.1(1)</version>')),
      NOTHING,
    );
  });

  it('has what each of its elements says', () => {
    const document = parse(
      '<opaque is-for="sg">old</opaque><opaque is-for="sg"><a b="c">d</a></opaque><client-cert-request/><cert-authenticated></cert-authenticated>' +
        '<multiple-client-cert-request><hash-algorithm> sha256 </hash-algorithm><random>r</random><hash-algorithm>sha512</hash-algorithm></multiple-client-cert-request>' +
        '<session-token> TOKEN\n</session-token><error>bad</error><auth id="main"/>',
    );
    assert.deepEqual(opened(document), {
      type: 'auth-request',
      opaque: '<opaque is-for="sg"><a b="c">d</a></opaque>',
      wantsClientCertificate: true,
      isCertificateAuthenticated: true,
      userCertificateHashes: ['sha256', 'sha512'],
      sessionToken: 'TOKEN',
      error: 'bad',
      auth: { id: 'main', isComplete: false },
    });
    assert.equal(String(document.sessionToken), '[secret]');
  });

  it('can be a bare auth, in which what belongs to the envelope does not count', () => {
    const document = parseGatewayDocument(
      '<auth id="main"><opaque is-for="sg"/><session-token>T</session-token><client-cert-request/><error>e</error><form/></auth>',
      'linux',
    );
    assert.deepEqual(opened(document), {
      ...NOTHING,
      auth: { id: 'main', error: 'e', isComplete: false, form: { action: '/', inputs: [] } },
    });
  });

  it('is refused with another root, or as no XML, or cut short', () => {
    assert.throws(() => parseGatewayDocument('<html/>', 'linux'), {
      name: 'PeerMisbehavedError',
      message: /expected config-auth or auth, got html/,
    });
    assert.throws(() => parseGatewayDocument('', 'linux'), PeerMisbehavedError);
    assert.throws(() => parseGatewayDocument('<config-auth><auth>', 'linux'), PeerMisbehavedError);
  });

  it('has no token where that is empty, and is refused with one that could not be a cookie', () => {
    assert.equal(parse('<session-token/>').sessionToken, undefined);
    assert.throws(() => parse('<session-token>a;b</session-token>'), /session-token: expected a text that can be a cookie/);
    assert.throws(() => parse('<session-token>a\nb</session-token>'), PeerMisbehavedError);
  });
});

describe('texts of a log-in document', () => {
  const error = (content: string) => parse(`<auth id="a"><error ${content}</error></auth>`).auth?.error;

  // Observed with openconnect 9.01.
  it('have their two parameters in place of %s, up to the first other %', () => {
    assert.equal(error('param1="1" param2="2">%s and %s, %s'), '1 and 2, %s');
    assert.equal(error('param2="2">%s then %s'), '%s then 2');
    assert.equal(error('param1="1">%d then %s'), '%d then %s');
    assert.equal(error('param1="1">100%% %s'), '100%% %s');
    assert.equal(error('param1="%s%s">[%s]'), '[%s%s]');
    assert.equal(error('param1="1">%'), '%');
    assert.equal(error('>'), undefined);
  });

  it('are fit for a terminal, parameters too', () => {
    assert.equal(error('param1="&#x202e;x&#x9b;1m">a&#x1b;[0m %s\tb\nc'), 'a\ufffd[0m x1m\tb\nc');
  });

  it('stand in banner, message, error and title, in auth, and as an error beside it', () => {
    const texts = ['title', 'banner', 'message', 'error'].map((name) => `<${name} param1="p">${name} %s</${name}>`).join('');
    const { auth, error: outer } = parse(`<auth id="a">${texts}</auth><error param1="p">outer %s</error>`);
    assert.deepEqual(
      [auth?.title, auth?.banner, auth?.message, auth?.error, outer],
      ['title p', 'banner p', 'message p', 'error p', 'outer p'],
    );
  });
});

describe('host scan in a log-in document', () => {
  const NEW = {
    ticket: '<host-scan-ticket>TI</host-scan-ticket>',
    token: '<host-scan-token>TO</host-scan-token>',
    base: '<host-scan-base-uri>/base</host-scan-base-uri>',
    wait: '<host-scan-wait-uri>wait</host-scan-wait-uri>',
  };
  const CSD = '<csd token="TO" ticket="TI"/>';
  const places = (name: string) => `<${name} stuburl="/stub" starturl="/start" waiturl="/wait"/>`;
  const scanIn = (inner: string, os = 'linux-64') => {
    const { hostScan } = parse(inner, { os });
    return hostScan && openedScan(hostScan);
  };

  it('has a new form, which is complete or none', () => {
    assert.deepEqual(scanIn(`<host-scan>${Object.values(NEW).join('')}</host-scan>`), {
      token: 'TO',
      ticket: 'TI',
      startUri: '/base',
      waitUri: '/wait',
    });
    for (const missing of Object.keys(NEW)) {
      const rest = Object.entries(NEW).filter(([name]) => name !== missing);
      assert.equal(scanIn(`<host-scan>${rest.map(([, text]) => text).join('')}</host-scan>`), undefined, missing);
    }
  });

  it('has an old form, whose places depend on the system, and whose program is not for phones', () => {
    const old = { token: 'TO', ticket: 'TI', startUri: '/start', waitUri: '/wait' };
    const all = `<auth id="a">${CSD}${['csd', 'csdMac', 'csdLinux'].map((name) => places(name).replaceAll('="/', `="/${name}/`)).join('')}</auth>`;
    const of = (name: string) => ({ ...old, startUri: `/${name}/start`, waitUri: `/${name}/wait` });
    assert.deepEqual(scanIn(all, 'win'), { ...of('csd'), stubUri: '/csd/stub' });
    assert.deepEqual(scanIn(all, 'mac-intel'), { ...of('csdMac'), stubUri: '/csdMac/stub' });
    for (const os of ['linux', 'linux-64']) assert.deepEqual(scanIn(all, os), { ...of('csdLinux'), stubUri: '/csdLinux/stub' });
    for (const os of ['android', 'apple-ios']) assert.deepEqual(scanIn(all, os), of('csdLinux'));
    assert.deepEqual(scanIn('<auth id="a"><csd token="TO" ticket="TI" starturl="s" waiturl="https://h/w"/></auth>', 'win'), {
      ...old,
      startUri: '/s',
      waitUri: 'https://h/w',
    });
    assert.equal(scanIn(`<auth id="a">${CSD}</auth>`), undefined);
    assert.equal(scanIn(`<auth id="a">${places('csdLinux')}</auth>`), undefined);
  });

  it('is taken from the old form where the new one is not complete', () => {
    const both = `<host-scan>${NEW.token}</host-scan><auth id="a"><csd token="OLD" ticket="TI"/>${places('csdLinux')}</auth>`;
    assert.deepEqual(scanIn(both), { token: 'OLD', ticket: 'TI', startUri: '/start', waitUri: '/wait', stubUri: '/stub' });
  });

  it('is refused with a token that could not be a cookie', () => {
    assert.throws(() => scanIn(`<auth id="a"><csd token="a;b" ticket="TI"/>${places('csdLinux')}</auth>`), /host scan token/);
  });
});

describe('profile in a log-in document', () => {
  it('is the one for users, with its SHA-1', () => {
    const file = (attributes: string, rest = '<hash type="md5">M</hash><hash type="sha1"> S </hash>') =>
      `<file ${attributes}><uri> /p </uri>${rest}</file>`;
    const profileIn = (files: string, rev = '1.0') =>
      parse(`<config><vpn-profile-manifest><vpn rev="${rev}">${files}</vpn></vpn-profile-manifest></config>`).profile;
    const good = 'type="profile" service-type="user"';
    assert.deepEqual(profileIn(file('type="binary"') + file('type="profile" service-type="x"') + file(good)), { uri: '/p', sha1: 'S' });
    assert.equal(profileIn(file(good), '2.0'), undefined);
    assert.equal(profileIn(file(good, '')), undefined);
    assert.equal(profileIn(''), undefined);
  });
});

const texts = fc.option(trimmedText, { nil: undefined });
const auths: fc.Arbitrary<AuthSection> = fc
  .record({
    id: trimmedText,
    title: texts,
    banner: texts,
    message: texts,
    error: texts,
    isComplete: fc.boolean(),
    singleSignOn: texts,
    form: fc.option(loginForms, { nil: undefined }),
  })
  .map(defined);
const path = fc.stringMatching(/^\/[a-z%?=&+./]{0,12}$/);
const token = fc.stringMatching(/^[A-Za-z0-9+/=]{1,20}$/).map((text) => new Secret(text));
const scans: fc.Arbitrary<HostScan> = fc.record({ token, ticket: trimmedText, startUri: path, waitUri: path }).map(defined);
const documents: fc.Arbitrary<GatewayDocument> = fc
  .record({
    type: fc.constantFrom('auth-request' as const, 'complete' as const),
    auth: fc.option(auths, { nil: undefined }),
    opaque: fc.option(
      trimmedText.map((text) => ({
        name: 'opaque',
        attributes: new Map([['is-for', 'sg']]),
        children: [{ name: 'a', attributes: new Map([['b', text]]), children: [text] }],
      })),
      { nil: undefined },
    ),
    wantsClientCertificate: fc.boolean(),
    isCertificateAuthenticated: fc.boolean(),
    userCertificateHashes: fc.option(fc.array(fc.constantFrom('sha256', 'sha384', 'sha512', 'x')), { nil: undefined }),
    hostScan: fc.option(scans, { nil: undefined }),
    profile: fc.option(fc.record({ uri: path, sha1: fc.stringMatching(/^[0-9A-F]{40}$/) }).map(defined), { nil: undefined }),
    sessionToken: fc.option(token, { nil: undefined }),
    error: texts,
  })
  .map(defined);

describe('gateway’s log-in document, both ways', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(documents, fc.constantFrom('linux-64', 'win', 'mac-intel', 'android'), (document, os) => {
        assert.deepEqual(opened(parseGatewayDocument(renderGatewayDocument(document), os)), opened(document));
      }),
      { numRuns: sized(200, 5000) },
    );
  });

  it('is read from ocserv’s own, and written with the same meaning', () => {
    for (const name of ['init', 'password', 'wrong-password', 'complete']) {
      const document = parseGatewayDocument(captured(name).body, 'linux-64');
      assert.deepEqual(opened(parseGatewayDocument(renderGatewayDocument(document), 'linux-64')), opened(document));
      assert.ok(document.auth !== undefined);
    }
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const nearly = fc
      .tuple(
        documents.map((document) => renderGatewayDocument(document)),
        fc.nat(),
        fc.string({ maxLength: 6 }),
      )
      .map(([text, at, other]) => {
        const cut = at % (text.length + 1);
        return utf8(text.slice(0, cut) + other + text.slice(cut + other.length));
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), nearly), (bytes) => {
        try {
          parseGatewayDocument(bytes, 'win');
        } catch (error) {
          assert.ok(error instanceof SallyportError);
        }
      }),
      { numRuns: sized(500, 20_000) },
    );
  });
});
