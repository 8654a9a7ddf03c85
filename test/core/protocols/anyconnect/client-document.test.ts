import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../../src/core/errors.ts';
import { renderXml, xmlElement } from '../../../../src/core/markup/xml.ts';
import {
  type ClientDocument,
  type ParsedClientDocument,
  parseClientDocument,
  renderClientDocument,
} from '../../../../src/core/protocols/anyconnect/client-document.ts';
import { revealed, Secret } from '../../../../src/core/secret.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { defined, trimmedText } from '../../../support/login-documents.ts';
import { sized } from '../../../support/size.ts';

const REFERENCE = { ...CLIENT, version: 'v9.01-3' };
const OPAQUE = xmlElement('opaque', { 'is-for': 'sg' }, [xmlElement('tunnel-group', {}, ['G&G'])]);

function rest(document: Omit<ClientDocument, 'capabilities'>): string {
  const { text } = renderClientDocument({ capabilities: [], ...document }, REFERENCE);
  return text.slice(text.indexOf('<capabilities/>') + '<capabilities/>'.length, text.lastIndexOf('</config-auth>'));
}

describe('client’s log-in document', () => {
  // Captured from openconnect 9.01.
  it('has the bytes of the reference client', () => {
    const capabilities = ['single-sign-on-v2', 'single-sign-on-external-browser'];
    assert.equal(
      renderClientDocument({ type: 'init', capabilities, groupAccess: 'https://10.99.0.2/' }, REFERENCE).text,
      '<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="init" aggregate-auth-version="2"><version who="vpn">v9.01-3</version><device-id>linux-64</device-id><capabilities><auth-method>single-sign-on-v2</auth-method><auth-method>single-sign-on-external-browser</auth-method></capabilities><group-access>https://10.99.0.2/</group-access></config-auth>\n',
    );
    assert.equal(
      renderClientDocument({ type: 'auth-reply', capabilities, fields: [['username', 'user']] }, REFERENCE).text,
      '<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="auth-reply" aggregate-auth-version="2"><version who="vpn">v9.01-3</version><device-id>linux-64</device-id><capabilities><auth-method>single-sign-on-v2</auth-method><auth-method>single-sign-on-external-browser</auth-method></capabilities><auth><username>user</username></auth></config-auth>\n',
    );
  });

  it('has its parts in the order of the reference client', () => {
    assert.equal(
      rest({ type: 'init', groupAccess: 'https://h/', lacksCertificate: true, group: 'g' }),
      '<group-access>https://h/</group-access><client-cert-fail/><group-select>g</group-select>',
    );
    assert.equal(
      rest({ type: 'auth-reply', opaque: OPAQUE, fields: [['a', 'b']], group: 'g', hostScanToken: new Secret('t') }),
      '<opaque is-for="sg"><tunnel-group>G&amp;G</tunnel-group></opaque><auth><a>b</a></auth><group-select>g</group-select><host-scan-token>t</host-scan-token>',
    );
    assert.equal(rest({ type: 'auth-reply', fields: [] }), '<auth/>');
    assert.equal(
      rest({
        type: 'auth-reply',
        opaque: OPAQUE,
        userCertificate: { bundle: new Uint8Array(49), hash: 'sha384', signature: new Uint8Array(48) },
      }),
      '<session-token/><session-id/><opaque is-for="sg"><tunnel-group>G&amp;G</tunnel-group></opaque><auth><client-cert-chain cert-store="1M"><client-cert-sent-via-protocol/></client-cert-chain>' +
        `<client-cert-chain cert-store="1U"><client-cert cert-format="pkcs7">${'A'.repeat(64)}\nAA==</client-cert><client-cert-auth-signature hash-algorithm-chosen="sha384">${'A'.repeat(64)}</client-cert-auth-signature></client-cert-chain></auth>`,
    );
  });

  it('renames or leaves out the fields that Cisco’s gateways want so', () => {
    const fields = ['group_list', 'answer', 'whichpin', 'new_password', 'verify_pin', 'verify_password', 'sso-token', 'password'].map(
      (name) => [name, name] as const,
    );
    assert.equal(
      rest({ type: 'auth-reply', fields }),
      '<auth><password>answer</password><password>whichpin</password><password>new_password</password><sso-token>sso-token</sso-token><password>password</password></auth>',
    );
  });

  it('is refused with a field whose name is none of XML', () => {
    for (const name of ['', 'a b', '1', 'a:b', '<x>', 'a>b']) {
      assert.throws(() => rest({ type: 'auth-reply', fields: [[name, 'v']] }), { name: 'PeerMisbehavedError' }, name);
    }
  });

  it('is shown without its secrets', () => {
    const document = {
      type: 'auth-reply',
      capabilities: [],
      fields: [['password', new Secret('pw&')]],
      hostScanToken: new Secret('tok'),
    } as const;
    const { text, shown } = renderClientDocument(document, CLIENT);
    assert.match(text, /<password>pw&amp;<\/password>.*<host-scan-token>tok</);
    assert.match(shown, /<password>\[secret\]<\/password>.*<host-scan-token>\[secret\]</);
    assert.equal(shown.replaceAll('[secret]', ''), text.replace('pw&amp;', '').replace('>tok<', '><'));
  });

  it('tells of the machine only with a mobile identity', () => {
    const mobile = { platformVersion: '1', deviceType: 'android', uniqueId: 'u' };
    const { text } = renderClientDocument({ type: 'init', capabilities: [] }, { ...CLIENT, os: 'android', mobile });
    assert.match(text, /<device-id platform-version="1" device-type="android" unique-id="u">android<\/device-id>/);
  });
});

const name = fc
  .stringMatching(/^[a-z_][a-z0-9_-]{0,8}$/)
  .filter((text) => !['group_list', 'answer', 'whichpin', 'new_password', 'verify_pin', 'verify_password'].includes(text));
const secret = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !/[\p{Cc}\p{Cs}\ufffe\uffff]/u.test(text));
const documents: fc.Arbitrary<ClientDocument> = fc
  .record({
    type: fc.constantFrom('init' as const, 'auth-reply' as const),
    capabilities: fc.array(name, { maxLength: 3 }),
    groupAccess: fc.option(trimmedText, { nil: undefined }),
    lacksCertificate: fc.boolean(),
    group: fc.option(trimmedText, { nil: undefined }),
    opaque: fc.option(
      trimmedText.map((text) => xmlElement('opaque', { 'is-for': 'sg', a: text }, [xmlElement('b', {}, [text]), text])),
      { nil: undefined },
    ),
    fields: fc.option(
      fc.array(
        fc.tuple(
          name,
          secret.map((text) => new Secret(text)),
        ),
      ),
      { nil: undefined },
    ),
    hostScanToken: fc.option(
      secret.map((text) => new Secret(text)),
      { nil: undefined },
    ),
  })
  .map(defined);

/** What both sides mean. */
function meaning(document: ClientDocument | ParsedClientDocument): object {
  const { opaque, fields, hostScanToken, type, capabilities, groupAccess, lacksCertificate, group } = document;
  return {
    ...{ type, capabilities, groupAccess, lacksCertificate, group },
    opaque: opaque && renderXml(opaque),
    fields: fields?.map(([field, value]) => [field, revealed(value)]),
    hostScanToken: hostScanToken?.reveal(),
  };
}

describe('client’s log-in document, both ways', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(documents, (document) => {
        const parsed = parseClientDocument(renderClientDocument(document, CLIENT).text);
        assert.deepEqual(meaning(parsed), meaning(document));
        assert.deepEqual([parsed.version, parsed.os], [CLIENT.version, CLIENT.os]);
      }),
      { numRuns: sized(200, 5000) },
    );
  });

  it('is refused as another document', () => {
    for (const text of ['<auth/>', '<config-auth/>', '<config-auth type="complete"/>', 'x', '']) {
      assert.throws(() => parseClientDocument(text), { name: 'PeerMisbehavedError' }, text);
    }
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const nearly = fc.tuple(documents, fc.nat(), fc.string({ maxLength: 6 })).map(([document, at, other]) => {
      const { text } = renderClientDocument(document, CLIENT);
      const cut = at % (text.length + 1);
      return utf8(text.slice(0, cut) + other + text.slice(cut + other.length));
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), nearly), (bytes) => {
        try {
          parseClientDocument(bytes);
        } catch (error) {
          assert.ok(error instanceof SallyportError);
        }
      }),
      { numRuns: sized(500, 20_000) },
    );
  });
});
