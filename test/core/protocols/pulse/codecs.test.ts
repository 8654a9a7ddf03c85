/** The bytes of a Pulse connection: the specification's vectors, round trips, and hostile ones. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, SallyportError, UnsupportedError } from '../../../../src/core/errors.ts';
import { cookieOffWire, cookieOnWire } from '../../../../src/core/protocols/base64url-cookie.ts';
import {
  agreedVersion,
  decodeAuth,
  encodeAuth,
  IDENTITY,
  parseClientInformation,
  renderClientInformation,
  VERSION_REQUEST,
} from '../../../../src/core/protocols/pulse/auth-payload.ts';
import { AVP_CODES, decodeAvps, eapAvp, encodeAvps, numberAvp, textAvp } from '../../../../src/core/protocols/pulse/avp.ts';
import { ClientExchange } from '../../../../src/core/protocols/pulse/client-exchange.ts';
import { parseConfiguration, renderConfiguration } from '../../../../src/core/protocols/pulse/configuration.ts';
import { configurationKind } from '../../../../src/core/protocols/pulse/container.ts';
import { decodeEap, EAP_CODES, EAP_METHODS, encodeEap } from '../../../../src/core/protocols/pulse/eap.ts';
import { decodeEspOffer, decodeEspReply, encodeEspOffer, encodeEspReply } from '../../../../src/core/protocols/pulse/esp-configuration.ts';
import { decodeFatalError, encodeFatalError } from '../../../../src/core/protocols/pulse/fatal-error.ts';
import { IFT_KINDS, IftDeframer, IftWriter, MAX_IFT_PACKET } from '../../../../src/core/protocols/pulse/ift-packet.ts';
import {
  decodePasswordRequest,
  decodePasswordResponse,
  encodePasswordRequest,
  encodePasswordResponse,
} from '../../../../src/core/protocols/pulse/password-method.ts';
import { parseSessionCookie } from '../../../../src/core/protocols/pulse/session-cookie.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { formatCidr, formatIp, parseCidr, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';

const hex = (text: string) => fromHex(text.replaceAll(/\s/g, ''));
const { request, response, success } = EAP_CODES;
const { conversation } = EAP_METHODS;

/** Of the one packet in these bytes. */
function packetIn(bytes: Uint8Array): { readonly kind: number; readonly payload: Uint8Array } {
  const deframer = new IftDeframer();
  deframer.push(bytes);
  assert.ok(deframer.next());
  const { kind, payload } = deframer;
  return { kind, payload: payload.slice() };
}

/** The writer that comes to this number next. */
const writerAt = (sequence: number) => new IftWriter(sequence);

describe('an IF-T packet', () => {
  it('opens a connection with the bytes of the specification', () => {
    assert.equal(toHex(writerAt(0).packet(IFT_KINDS.versionRequest, VERSION_REQUEST)), '0000559700000001000000140000000000010202');
    const identity = encodeAuth({ code: response, id: 1, method: EAP_METHODS.identity, data: IDENTITY });
    const bytes = writerAt(2).packet(IFT_KINDS.authResponse, identity);
    assert.equal(toHex(bytes), '00005597000000060000002200000002000a4c010201000e01616e6f6e796d6f7573');
    assert.equal(toHex(writerAt(5).packet(IFT_KINDS.authChallenge, encodeAuth())), '00005597000000050000001400000005000a4c01');
    const done = writerAt(5).packet(IFT_KINDS.authSuccess, encodeAuth({ code: success, id: 5, data: new Uint8Array(0) }));
    assert.equal(toHex(done), '00005597000000070000001800000005000a4c0103050004');
  });

  it('is cut out of a stream in any slices', () => {
    const writer = new IftWriter();
    const packets = fc.array(fc.tuple(fc.constantFrom(...Object.values(IFT_KINDS)), fc.uint8Array({ maxLength: 40 })), { maxLength: 6 });
    fc.assert(
      fc.property(packets, fc.integer({ min: 1, max: 50 }), (sent, size) => {
        const stream = Buffer.concat(sent.map(([kind, payload]) => writer.packet(kind, payload)));
        const deframer = new IftDeframer();
        const received: [number, string][] = [];
        for (let at = 0; at < stream.length; at += size) {
          deframer.push(stream.subarray(at, at + size));
          while (deframer.next()) received.push([deframer.kind, toHex(deframer.payload)]);
        }
        assert.deepEqual(
          received,
          sent.map(([kind, payload]) => [kind, toHex(payload)]),
        );
      }),
    );
  });

  it('has a length that counts its header, and has a limit', () => {
    for (const length of [0, 15, MAX_IFT_PACKET + 1, 0xffff_ffff]) {
      const bytes = hex('00000a4c 00000004 00000000 00000000');
      new DataView(bytes.buffer).setUint32(8, length);
      const deframer = new IftDeframer();
      deframer.push(bytes);
      assert.throws(() => deframer.next(), PeerMisbehavedError, String(length));
    }
  });
});

describe('the opening', () => {
  it('agrees on the highest version that both speak', () => {
    assert.equal(agreedVersion(hex('00 01 02 02')), 2);
    assert.equal(agreedVersion(hex('00 01 01 01')), 1);
    assert.throws(() => agreedVersion(hex('00 03 04 04')), PeerMisbehavedError);
  });

  it('reads back what a client says of itself', () => {
    const said = { hostname: 'box', address: '192.0.2.7' };
    assert.deepEqual(parseClientInformation(renderClientInformation(said)), said);
    assert.deepEqual(parseClientInformation(renderClientInformation({})), {});
  });
});

describe('a conversation', () => {
  it('tells of the server and the client with the bytes of the specification', () => {
    const server = encodeAvps([
      numberAvp(AVP_CODES.featureLevel, 4),
      numberAvp(AVP_CODES.serverInformation, 1),
      textAvp(AVP_CODES.serverId, 'SallyportTest'),
    ]);
    assert.equal(
      toHex(encodeEap({ code: request, id: 2, method: conversation, data: server })),
      toHex(
        hex(`01020048fe000a4c00000001 00000d49800000100000058300000004 00000d4a800000100000058300000001
          00000d568000001900000583 53616c6c79706f727454657374000000`),
      ),
    );
    const client = encodeAvps([textAvp(AVP_CODES.userAgent, 'Open AnyConnect VPN Agent v9.01-3')]);
    assert.equal(
      toHex(encodeEap({ code: response, id: 2, method: conversation, data: client })),
      toHex(
        hex('0202003cfe000a4c00000001 00000d708000002d00000583 4f70656e20416e79436f6e6e6563742056504e204167656e742076392e30312d33 000000'),
      ),
    );
  });

  it('asks for a password and takes the answer, byte by byte', () => {
    const asked = hex(`01030048fe000a4c00000001 00000d8080000010000005834e616d65 00000d818000001200000583 5365637265740000
      0000004f40000015 0101000dfe000a4c0000000201000000`);
    const { id, data } = decodeEap(asked);
    const [name, password, message] = decodeAvps(data);
    assert.deepEqual([id, name, password], [3, textAvp(AVP_CODES.usernameLabel, 'Name'), textAvp(AVP_CODES.passwordLabel, 'Secret')]);
    const inner = decodeEap(message?.data ?? assert.fail('no EAP message'));
    assert.deepEqual([inner.method, decodePasswordRequest(inner.data)], [EAP_METHODS.password, { type: 'ask' }]);
    const answer = encodeAvps([
      textAvp(AVP_CODES.username, 'alice'),
      eapAvp({ code: response, id: 1, method: EAP_METHODS.password, data: encodePasswordResponse({ password: 'secret' }) }),
    ]);
    assert.equal(
      toHex(encodeEap({ code: response, id: 3, method: conversation, data: answer })),
      toHex(
        hex(
          '02030040fe000a4c00000001 00000d6d8000001100000583616c696365000000 0000004f4000001d02010015fe000a4c00000002020208736563726574000000',
        ),
      ),
    );
  });

  it('changes a password, byte by byte', () => {
    const data = encodePasswordResponse({ password: 'oldpw', newPassword: 'newpw1' });
    const answer = encodeAvps([eapAvp({ code: response, id: 6, method: EAP_METHODS.password, data })]);
    assert.equal(
      toHex(encodeEap({ code: response, id: 8, method: conversation, data: answer })),
      toHex(hex('02080030fe000a4c00000001 0000004f400000240206001cfe000a4c0000000202 02076f6c647077 03086e6577707731')),
    );
    assert.deepEqual(decodePasswordResponse(data), { password: 'oldpw', newPassword: 'newpw1' });
    const failed = { type: 'failed', text: 'No.' } as const;
    assert.equal(toHex(encodePasswordRequest(failed)), 'c501054e6f2e');
    assert.deepEqual(decodePasswordRequest(encodePasswordRequest(failed)), failed);
  });

  it('passes over what it does not know, unless that is mandatory', () => {
    assert.deepEqual(decodeAvps(hex('00000001 80000010 00000009 01020304')), []);
    assert.throws(() => decodeAvps(hex('00000001 c0000010 00000009 01020304')), PeerMisbehavedError);
  });

  it('knows its way of authentication only', () => {
    assert.equal(decodeAuth(hex('000a4c01')), undefined);
    assert.throws(() => decodeAuth(hex('000a4c02')), PeerMisbehavedError);
  });
});

describe("a client's side of what is said before a tunnel", () => {
  it('takes no cookie that could not be written again: it goes into headers, and to programs', () => {
    for (const text of ['', 'DSID=; x', 'a b', 'a\r\nX: y', 'x'.repeat(1025), 'é']) {
      const exchange = new ClientExchange({ userAgent: 'x', information: {} });
      const gateway = new IftWriter();
      for (const avps of [[], [textAvp(AVP_CODES.cookie, text)]]) {
        const packet = encodeAuth({ code: request, id: 1, method: conversation, data: encodeAvps(avps) });
        exchange.push(gateway.packet(IFT_KINDS.authChallenge, packet));
      }
      assert.equal(exchange.next().type, 'send');
      assert.throws(() => exchange.next(), PeerMisbehavedError, text);
    }
  });

  it('does not go on for ever: a gateway that only asks, and never reads, would fill the memory', () => {
    const exchange = new ClientExchange({ userAgent: 'x', information: {} });
    const gateway = new IftWriter();
    let answers = 0;
    assert.throws(() => {
      for (; answers < 1000; answers++) {
        exchange.push(gateway.packet(IFT_KINDS.versionResponse, Uint8Array.of(0, 0, 0, 2)));
        assert.equal(exchange.next().type, 'send');
      }
    }, PeerMisbehavedError);
    assert.equal(answers, 32);
  });
});

describe('a configuration', () => {
  const full = packetIn(
    hex(`00000a4c 00000001 000000e3 00000000 00000000000000000000000000000000 2c20f000 00000000 000000d3
      2e00 0028 02000000  07000010 0000ffff 0a630000 0a63ffff   f1000010 0000ffff 0a630500 0a6305ff
      0000008f 03000000 4005 0004 00000578  0003 0004 0a630035  0003 0004 0a630036
      4006 0019 6578616d706c652e636f6d2c636f72702e6578616d706c6500   0004 0004 0a63003c
      4010 0002 0005  4011 0002 0003  4012 0004 000004b0  4013 0004 00000000  4014 0004 00000001  4016 0002 3db9  4017 0004 0000000f
      0001 0004 0a630002  0002 0004 ffffff00  400b 0004 0a630001`),
  ).payload;

  it('is read as the specification has it', () => {
    const { config, warnings } = parseConfiguration(full);
    assert.equal(configurationKind(full), 'main');
    assert.deepEqual(warnings, []);
    assert.equal(config.mtu, 1400);
    assert.deepEqual(config.ipv4 && [formatIp(config.ipv4.address), config.ipv4.prefix], ['10.99.0.2', 24]);
    assert.deepEqual(config.dns.map(formatIp), ['10.99.0.53', '10.99.0.54']);
    assert.deepEqual(config.nbns.map(formatIp), ['10.99.0.60']);
    assert.deepEqual(config.searchDomains, ['example.com', 'corp.example']);
    assert.deepEqual([config.include.map(formatCidr), config.exclude.map(formatCidr)], [['10.99.0.0/16'], ['10.99.5.0/24']]);
  });

  it('says how ESP is spoken, where all is there and known', () => {
    const esp = { algorithms: { cipher: 'aes-256-cbc', mac: 'sha256' }, port: 15_801, dpd: 15_000 };
    assert.deepEqual(parseConfiguration(full).esp, esp);
    const changed = (from: string, to: string) => {
      const text = toHex(full);
      assert.ok(text.includes(from));
      return parseConfiguration(fromHex(text.replace(from, to))).esp;
    };
    assert.equal(changed('401000020005', '401000020004'), undefined, 'another cipher');
    assert.equal(changed('401100020003', '401100020009'), undefined, 'another MAC');
    assert.equal(changed('401600023db9', '401600020000'), undefined, 'no port');
    assert.equal(changed('4016', '4fff'), undefined, 'none at all');
    assert.deepEqual(changed('401700040000000f', '4017000400000000'), { ...esp, dpd: 60_000 });
    assert.deepEqual(changed('401700040000000f', '40170004ffffffff'), { ...esp, dpd: 86_400_000 });
  });

  it('is written as the whole one of the specification, with ESP', () => {
    const { config, esp } = parseConfiguration(full);
    const offer = { config, gatewayIpv4: ip('10.99.0.1'), esp: { ...(esp ?? assert.fail()), lifetime: 1_200_000 } };
    assert.equal(toHex(renderConfiguration(offer)), toHex(full));
  });

  it('is written as the smallest one of the specification', () => {
    const rendered = renderConfiguration({ config: { ...BARE, mtu: 1400, ipv4: { address: ip('10.99.0.2'), prefix: 24 } } });
    const expected = hex(`00000000000000000000000000000000 2c20f000 00000000 00000044 2e00 0008 00000000
      00000020 03000000  4005 0004 00000578  0001 0004 0a630002  0002 0004 ffffff00`);
    assert.equal(toHex(rendered), toHex(expected));
  });

  it('reads back what it writes, of both families', () => {
    const config = {
      ...BARE,
      ...{ mtu: 1380, ipv4: { address: ip('10.1.2.3'), prefix: 32 }, ipv6: { address: ip('fd00::2'), prefix: 64 } },
      gatewayIpv4: ip('10.1.0.1'),
      dns: [ip('10.1.0.1'), ip('fd00::53')],
      searchDomains: ['a.example', 'b.example'],
      include: ['10.0.0.0/8', 'fd00:1::/32'].map((text) => parseCidr(text) ?? assert.fail()),
      exclude: ['10.9.0.0/16', 'fd00:2::/32'].map((text) => parseCidr(text) ?? assert.fail()),
    };
    assert.deepEqual(parseConfiguration(renderConfiguration({ config, gatewayIpv4: ip('10.1.0.1') })).config, config);
  });

  it('is read with the leading blocks of newer firmware', () => {
    const body = '2e00 0008 00000000 00000018 03000000 4005 0004 00000578 0001 0004 0a630002';
    for (const blocks of ['2c00 000d 03000000 4025 0001 01', '2e00 000d 03000000 4025 0001 01 2c00 000d 03000000 4026 0001 01']) {
      const bytes = hex(`00000000000000000000000000000000 2e20f000 00000000 00000000 ${blocks} ${body}`);
      new DataView(bytes.buffer).setUint32(24, bytes.length);
      assert.equal(parseConfiguration(bytes).config.mtu, 1400);
    }
  });

  it('needs an address and an MTU', () => {
    const bytes = hex(
      '00000000000000000000000000000000 2c20f000 00000000 00000034 2e00 0008 00000000 00000010 03000000 0001 0004 0a630002',
    );
    assert.throws(() => parseConfiguration(bytes), UnsupportedError);
  });
});

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const BARE = { dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] };

describe("ESP's keys", () => {
  const block = Uint8Array.from({ length: 64 }, (_, i) => i);
  const offer = hex(`00000a4c 00000001 00000080 00000007 00000000000000000000000000000000
    21202400 00000000 00000070 00000054 01000000 d4c3b2a1 0040
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
    000000000000`);

  it('are offered with the bytes of the specification, their SPI the other way round', () => {
    const spi = 0xa1b2c3d4;
    assert.equal(toHex(writerAt(7).packet(IFT_KINDS.configuration, encodeEspOffer({ spi, bytes: block }))), toHex(offer));
    const { payload } = packetIn(offer);
    assert.equal(configurationKind(payload), 'esp');
    assert.deepEqual(decodeEspOffer(payload), { spi, bytes: block });
  });

  it('are answered with those of the client, and the gateway’s again', () => {
    const own = { spi: 0xa752e26a, bytes: block.toReversed() };
    const echo = { spi: 0xa1b2c3d4, bytes: block };
    const payload = encodeEspReply({ own, echo });
    const head = '00000a4c 00000001 000000c0 00000003 00000000000000000000000000000000 21202400 00000000 000000b0 00000094 01000000';
    const blocks = `6ae252a7 0040 ${toHex(own.bytes)} d4c3b2a1 0040 ${toHex(block)}`;
    assert.equal(toHex(writerAt(3).packet(IFT_KINDS.configuration, payload)), toHex(hex(`${head} ${blocks}`)));
    assert.deepEqual(decodeEspReply(payload), { own, echo });
  });

  it('are nothing else, and of no other length', () => {
    const { payload } = packetIn(offer);
    for (const [at, byte] of [
      [16, 0x2c], // the signature
      [31, 0x55], // a length
      [32, 0x02], // the mark
      [41, 0x41], // the block's length
    ] as const) {
      const changed = payload.slice();
      changed[at] = byte;
      assert.throws(() => decodeEspOffer(changed), PeerMisbehavedError, String(at));
    }
    assert.throws(() => decodeEspReply(payload), SallyportError);
  });
});

describe('the last word and the cookie', () => {
  it('says why a session is over', () => {
    assert.deepEqual(decodeFatalError(utf8('errorType=8 errorString=it+was%20idle\n')), { type: 8, text: 'it was idle' });
    const error = { type: 7, text: 'The session was ended: user disconnected.' };
    assert.deepEqual(decodeFatalError(encodeFatalError(error)), error);
  });

  it('takes a cookie with and without its name', () => {
    for (const text of ['abc-_1', 'DSID=abc-_1', ' DSID=abc-_1; path=/'])
      assert.equal(parseSessionCookie(new Secret(text)).reveal(), 'abc-_1');
    const cookie = new Secret(`${'a+/b'.repeat(10)}abc=`);
    assert.equal(cookieOffWire(cookieOnWire(cookie)).reveal(), cookie.reveal());
  });
});

describe('every parser', () => {
  it('throws nothing but its own errors, whatever the bytes', () => {
    const parsers = [
      decodeEap,
      decodeAvps,
      decodeAuth,
      decodePasswordRequest,
      decodePasswordResponse,
      parseConfiguration,
      configurationKind,
      decodeEspOffer,
      decodeEspReply,
      agreedVersion,
      decodeFatalError,
    ];
    const config = renderConfiguration({ config: { ...BARE, mtu: 1400, ipv4: { address: ip('10.99.0.2'), prefix: 24 } } });
    const keys = { spi: 0xa1b2c3d4, bytes: new Uint8Array(64) };
    const whole = fc.constantFrom(config, encodeEspOffer(keys), encodeEspReply({ own: keys, echo: keys }));
    const nearly = fc.tuple(whole, fc.nat(config.length - 1), fc.nat(255)).map(([of, at, byte]) => {
      const bytes = of.slice();
      bytes[at] = byte;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 96 }), nearly), fc.constantFrom(...parsers), (bytes, parse) => {
        try {
          parse(bytes);
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
