/**
 * Vectors: [MS-NLMP] section 4.2.4, "NTLMv2 Authentication", with the inputs of section 4.2.1.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { md4 } from '../../../../src/core/crypto/md4.ts';
import { PeerMisbehavedError, SallyportError } from '../../../../src/core/errors.ts';
import type { Challenge } from '../../../../src/core/http/auth/challenge.ts';
import { NtlmScheme, ntlmAuthenticate } from '../../../../src/core/http/auth/ntlm.ts';
import {
  AV_IDS,
  decodeAvPairs,
  decodeNtlmAuthenticate,
  decodeNtlmChallenge,
  decodeNtlmNegotiate,
  encodeAvPairs,
  encodeNtlmAuthenticate,
  encodeNtlmChallenge,
  encodeNtlmNegotiate,
  NTLM_FLAGS,
  utf16,
} from '../../../../src/core/http/auth/ntlm-messages.ts';
import { fileTime, ntlmv2ResponseKey, ntlmv2Responses } from '../../../../src/core/http/auth/ntlm-v2.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { fromBase64, fromHex, toBase64, toHex } from '../../../../src/core/wire/text.ts';
import { testHashes } from '../../../support/hashes.ts';

const crypto = testHashes(0xaa);
const serverChallenge = fromHex('01 23 45 67 89 ab cd ef');
const targetInfo = fromHex('02 00 0c 00 44 00 6f 00 6d 00 61 00 69 00 6e 00 01 00 0c 00 53 00 65 00 72 00 76 00 65 00 72 00 00 00 00 00');
const request = { method: 'GET', target: '/' };
const NOW = 1_700_000_000_000;

describe('NTLMv2', () => {
  const responseKey = ntlmv2ResponseKey(crypto, 'User', 'Domain', 'Password');

  it('hashes the password as section 4.2.2.1.2 does', () => {
    assert.equal(toHex(md4(utf16('Password'))), 'a4f49c406510bdcab6824ee7c30fd852');
  });

  it('derives the response key of section 4.2.4.1.1', () => {
    assert.equal(toHex(responseKey), '0c868a403bfd7a93a3001ef22ef02e3f');
  });

  it('computes the responses and the key of sections 4.2.4.1.2 and 4.2.4.2', () => {
    const clientChallenge = new Uint8Array(8).fill(0xaa);
    const responses = ntlmv2Responses(crypto, { responseKey, serverChallenge, clientChallenge, targetInfo, time: new Uint8Array(8) });
    assert.equal(toHex(responses.ntResponse.subarray(0, 16)), '68cd0ab851e51c96aabc927bebef6a1c');
    assert.equal(
      toHex(responses.ntResponse.subarray(16)),
      `01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000${toHex(targetInfo)}00000000`,
    );
    assert.equal(toHex(responses.lmResponse), '86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa');
    assert.equal(toHex(responses.sessionBaseKey), '8de40ccadbc14a82f15cb0ad0de95ca3');
  });

  it('writes the user in capitals letter by letter, the domain as it is', () => {
    const key = (user: string, domain: string) => toHex(ntlmv2ResponseKey(crypto, user, domain, 'Password'));
    assert.equal(key('USER', 'Domain'), toHex(responseKey));
    assert.notEqual(key('USER', 'DOMAIN'), toHex(responseKey));
    assert.equal(key('müßig', ''), key('MÜßIG', ''));
  });

  it('counts time from 1601 in units of 100 ns', () => {
    assert.equal(toHex(fileTime(0)), toHex(fromHex('00 80 3e d5 de b1 9d 01')));
    assert.equal(toHex(fileTime(NOW + 0.7)), toHex(fileTime(NOW)));
  });
});

describe('NTLM messages', () => {
  it('are decoded as section 4.2.4.3 has them', () => {
    const challenge = decodeNtlmChallenge(
      fromHex(`4e 54 4c 4d 53 53 50 00 02 00 00 00 0c 00 0c 00 38 00 00 00 33 82 8a e2 01 23 45 67 89 ab cd ef 00 00 00 00
        00 00 00 00 24 00 24 00 44 00 00 00 06 00 70 17 00 00 00 0f 53 00 65 00 72 00 76 00 65 00 72 00 ${toHex(targetInfo)}`),
    );
    assert.deepEqual(challenge, { flags: 0xe28a8233, serverChallenge, targetInfo });
    assert.deepEqual(
      decodeAvPairs(challenge.targetInfo).map(({ id, value }) => [id, toHex(value)]),
      [
        [2, toHex(utf16('Domain'))],
        [1, toHex(utf16('Server'))],
      ],
    );
  });

  it('are read back as they were written', () => {
    const bytes = fc.uint8Array({ maxLength: 80 });
    const flags = fc.nat(0xffff_ffff);
    fc.assert(
      fc.property(flags, fc.uint8Array({ minLength: 8, maxLength: 8 }), bytes, (given, nonce, info) => {
        assert.deepEqual(decodeNtlmNegotiate(encodeNtlmNegotiate({ flags: given })), { flags: given });
        const challenge = { flags: (given | NTLM_FLAGS.targetInfo) >>> 0, serverChallenge: nonce, targetInfo: info };
        assert.deepEqual(decodeNtlmChallenge(encodeNtlmChallenge(challenge)), challenge);
      }),
    );
    fc.assert(
      fc.property(
        flags,
        bytes,
        bytes,
        fc.array(fc.string(), { minLength: 3, maxLength: 3 }),
        fc.boolean(),
        (given, lm, nt, names, hasMic) => {
          const [domain = '', user = '', workstation = ''] = names;
          const mic = hasMic ? new Uint8Array(16).fill(7) : undefined;
          // With nothing behind the fixed part the two layouts cannot be told apart; a real response is never empty.
          const message = { flags: given, lmResponse: lm, ntResponse: Uint8Array.of(1, ...nt), domain, user, workstation, mic };
          assert.deepEqual(decodeNtlmAuthenticate(encodeNtlmAuthenticate(message)), message);
        },
      ),
    );
    fc.assert(
      fc.property(
        fc.array(fc.record({ id: fc.integer({ min: 1, max: 0xffff }), value: bytes }, { noNullPrototype: true }), { maxLength: 5 }),
        (pairs) => assert.deepEqual(decodeAvPairs(encodeAvPairs(pairs)), pairs),
      ),
    );
  });

  it('throw nothing but their own errors, whatever the bytes', () => {
    const valid = encodeNtlmChallenge({ flags: NTLM_FLAGS.targetInfo, serverChallenge, targetInfo });
    const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
      const bytes = Uint8Array.from(valid);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 60 })), fc.nat(valid.length), (bytes, length) => {
        for (const decode of [decodeNtlmNegotiate, decodeNtlmChallenge, decodeNtlmAuthenticate, decodeAvPairs]) {
          try {
            decode(bytes.subarray(0, length));
          } catch (error) {
            assert.ok(error instanceof SallyportError, String(error));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the third message', () => {
  const credentials = { username: 'Domain\\User', password: new Secret('Password') };
  const negotiate = encodeNtlmNegotiate({ flags: 1 });
  const flags = NTLM_FLAGS.unicode | NTLM_FLAGS.ntlm | NTLM_FLAGS.targetInfo;
  const answer = (info: Uint8Array, username = credentials.username) => {
    const challenge = encodeNtlmChallenge({ flags, serverChallenge, targetInfo: info });
    const message = ntlmAuthenticate(crypto, { ...credentials, username }, { negotiate, challenge, time: new Uint8Array(8) });
    return { challenge, message, fields: decodeNtlmAuthenticate(message) };
  };

  it('carries the responses of the example, and only flags that both sides know', () => {
    const { fields } = answer(targetInfo);
    assert.equal(toHex(fields.ntResponse.subarray(0, 16)), '68cd0ab851e51c96aabc927bebef6a1c');
    assert.equal(toHex(fields.lmResponse), '86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa');
    assert.deepEqual(
      [fields.domain, fields.user, fields.flags, fields.mic],
      ['Domain', 'User', NTLM_FLAGS.unicode | NTLM_FLAGS.ntlm, undefined],
    );
  });

  it('names the domain before a backslash; a name with @ stays whole', () => {
    const names = (username: string) => {
      const { domain, user } = answer(targetInfo, username).fields;
      return [domain, user];
    };
    assert.deepEqual(names('CORP\\alice'), ['CORP', 'alice']);
    assert.deepEqual(names('alice@corp.example'), ['', 'alice@corp.example']);
    assert.deepEqual(names('alice'), ['', 'alice']);
  });

  it('uses the server’s time, leaves out the LM response and adds a MIC, where the server sends its time', () => {
    const time = fromHex('01 02 03 04 05 06 07 08');
    const info = encodeAvPairs([...decodeAvPairs(targetInfo), { id: AV_IDS.timestamp, value: time }]);
    const { challenge, message, fields } = answer(info);
    assert.equal(toHex(fields.lmResponse), '00'.repeat(24));
    assert.equal(toHex(fields.ntResponse.subarray(24, 32)), toHex(time));
    const sent = decodeAvPairs(fields.ntResponse.subarray(16 + 28));
    assert.equal(toHex(sent.find(({ id }) => id === AV_IDS.flags)?.value ?? new Uint8Array()), '02000000');

    // What a server checks: HMAC with the session base key over all three messages, the MIC being zeros.
    const key = ntlmv2ResponseKey(crypto, 'User', 'Domain', 'Password');
    const sessionKey = crypto.hmac('md5', key, fields.ntResponse.subarray(0, 16));
    const zeroed = Uint8Array.from(message);
    zeroed.fill(0, 72, 88);
    assert.equal(
      toHex(fields.mic ?? new Uint8Array()),
      toHex(crypto.hmac('md5', sessionKey, Buffer.concat([negotiate, challenge, zeroed]))),
    );
  });

  it('keeps the flags that the server sent in its target info', () => {
    const info = encodeAvPairs([
      { id: AV_IDS.flags, value: fromHex('01000000') },
      { id: AV_IDS.timestamp, value: new Uint8Array(8) },
    ]);
    const sent = decodeAvPairs(answer(info).fields.ntResponse.subarray(16 + 28));
    assert.equal(toHex(sent.find(({ id }) => id === AV_IDS.flags)?.value ?? new Uint8Array()), '03000000');
  });

  it('answers a server that sends no target info', () => {
    const challenge = encodeNtlmChallenge({ flags: NTLM_FLAGS.unicode, serverChallenge, targetInfo: new Uint8Array(0) }).subarray(0, 32);
    const message = ntlmAuthenticate(crypto, credentials, { negotiate, challenge, time: new Uint8Array(8) });
    assert.equal(decodeNtlmAuthenticate(message).ntResponse.length, 16 + 28 + 4);
  });
});

describe('the NTLM scheme', () => {
  const bare: Challenge = { scheme: 'ntlm', token: undefined, parameters: new Map() };
  const withToken = (message: Uint8Array): Challenge => ({ ...bare, token: toBase64(message) });
  const serverMessage = encodeNtlmChallenge({ flags: NTLM_FLAGS.unicode | NTLM_FLAGS.targetInfo, serverChallenge, targetInfo });
  const scheme = () => new NtlmScheme({ username: 'Domain\\User', password: new Secret('Password') }, crypto);
  const messageOf = (authorization: string | undefined) => fromBase64(authorization?.replace('NTLM ', '') ?? '');

  /** A scheme that has sent its first message. */
  function negotiating(): NtlmScheme {
    const ntlm = scheme();
    assert.equal(ntlm.challenged([bare], true), undefined);
    decodeNtlmNegotiate(messageOf(ntlm.authorization(request, NOW)));
    return ntlm;
  }

  it('sends its three messages and then nothing: the connection is logged in', () => {
    const ntlm = negotiating();
    assert.equal(ntlm.challenged([withToken(serverMessage)], true), undefined);
    assert.equal(decodeNtlmAuthenticate(messageOf(ntlm.authorization(request, NOW))).user, 'User');
    assert.equal(ntlm.authorization(request, NOW), undefined);
  });

  it('begins again on a new connection', () => {
    const ntlm = negotiating();
    ntlm.challenged([withToken(serverMessage)], true);
    ntlm.authorization(request, NOW);
    ntlm.connectionOpened();
    decodeNtlmNegotiate(messageOf(ntlm.authorization(request, NOW)));
  });

  it('gives up when the connection closes between the messages', () => {
    assert.match(negotiating().challenged([withToken(serverMessage)], false) ?? '', /closed the connection/);
  });

  it('gives up when the server does not answer, refuses, or sends what is no message', () => {
    assert.match(negotiating().challenged([bare], true) ?? '', /did not answer/);
    for (const token of ['AAAA', toBase64(encodeNtlmNegotiate({ flags: 1 })), toBase64(serverMessage.subarray(0, 40)), 'a']) {
      assert.match(negotiating().challenged([{ ...bare, token }], true) ?? '', /not valid/);
    }
    const noUnicode = encodeNtlmChallenge({ flags: 2, serverChallenge, targetInfo: new Uint8Array(0) });
    assert.match(negotiating().challenged([withToken(noUnicode)], true) ?? '', /Unicode/);
    const cutPairs = encodeNtlmChallenge({ flags: 1 | NTLM_FLAGS.targetInfo, serverChallenge, targetInfo: fromHex('0200ff0041') });
    assert.match(negotiating().challenged([withToken(cutPairs)], true) ?? '', /not valid/);

    const refused = negotiating();
    refused.challenged([withToken(serverMessage)], true);
    refused.authorization(request, NOW);
    assert.match(refused.challenged([bare], true) ?? '', /not accepted/);
  });

  it('throws for a message that is not valid where it is used directly', () => {
    const conversation = { negotiate: new Uint8Array(0), challenge: new Uint8Array(10), time: new Uint8Array(8) };
    assert.throws(() => ntlmAuthenticate(crypto, { username: 'x', password: new Secret('y') }, conversation), PeerMisbehavedError);
  });
});
