/**
 * The real openconnect and our command as the programs that they are, at a gateway whose answers are unusual: what they ask, say and return.
 */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { headerValue } from '../../../src/core/http/message.ts';
import { fromUtf8, utf8 } from '../../../src/core/wire/text.ts';
import { assertBuilt, DROP_IN } from '../../support/drop-in.ts';
import { type GatewayReply, type GatewayRequest, startFakeGateway } from '../../support/fake-gateway.ts';
import { formOf, PASSWORD, USERNAME } from '../../support/login-flows/flow.ts';
import { documentOf, redirect, success } from '../../support/login-script.ts';
import { type Command, OPENCONNECT } from '../../support/openconnect.ts';
import { runOpenconnect } from '../../support/openconnect-run.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const TO_LOG_IN = ['--authenticate', '--user', 'alice', '--passwd-on-stdin'];
const FORM = documentOf(formOf(USERNAME + PASSWORD));

const REFUSED: GatewayReply = { bytes: utf8('HTTP/1.1 401 Cookie is not acceptable\r\n\r\n') };

interface Visit {
  /** `elsewhere`: the client is sent to another server, with the same certificate. */
  readonly replies: readonly (GatewayReply | 'elsewhere')[];
  readonly args?: readonly string[];
}

/** What one of them does at a gateway with these answers. Who is who, and what chance makes, is left out. */
async function visit(command: Command, { replies, args = TO_LOG_IN }: Visit) {
  const seen: string[] = [];
  const answer = ({ method, target, headers, body }: GatewayRequest): GatewayReply => {
    const isXml = headers.some(([name]) => name === 'X-Aggregate-Auth');
    const text = fromUtf8(body).replace(/^.*<\/capabilities>/s, '');
    seen.push(`${headerValue(headers, 'Host')} ${method} ${target} ${isXml ? 'XML' : 'form'} ${text.trim()}`);
    const reply = replies[seen.length - 1] ?? 'hang-up';
    return reply === 'elsewhere' ? { response: redirect(`https://${other.authority}/`) } : reply;
  };
  await using gateway = await startFakeGateway(answer);
  await using other = await startFakeGateway(answer, { certificate: gateway.certificate });
  const { exitCode, stdout, stderr } = await runOpenconnect(gateway, { command, args, stdin: 'secret\n' });
  const plain = (text: string) =>
    text
      .replaceAll(gateway.authority, 'GATEWAY')
      .replaceAll(other.authority, 'OTHER')
      .replace(ABOUT_CONNECTIONS, '')
      .replace(/openconnect_strapkey=[^;]*; /, '');
  return { exitCode, seen: seen.map(plain), stdout: plain(stdout).replaceAll(gateway.certificate.pin, 'PIN'), stderr: plain(stderr) };
}

/** Which of them they say of a second connection differs. */
const ABOUT_CONNECTIONS = /^(?:Connected to|SSL negotiation with|Server certificate verify failed).*\n/gm;

/** Lines in which only one of them says why an answer was of no use to it. */
const OWN_REASONS =
  /^(?:Error reading HTTP response|Error fetching HTTPS response|Failed to read from TLS\/DTLS socket|Failed to parse HTTP response|Unknown Transfer-Encoding|Cannot receive HTTP 1\.0 body|Error in chunked|Response body has negative).*\n/gm;

describe('the command at an unusual gateway, compared with openconnect', {
  skip: missing('openconnect', 'openssl'),
  timeout: HANG_LIMIT,
}, () => {
  before(() => assertBuilt());

  async function assertSame(how: Visit, expected: { readonly exitCode: number; readonly requests: number }) {
    const [theirs, ours] = [await visit(OPENCONNECT, how), await visit(DROP_IN, how)];
    assert.deepEqual(ours, { ...theirs, stderr: theirs.stderr.replace(OWN_REASONS, '') });
    assert.deepEqual({ exitCode: ours.exitCode, requests: ours.seen.length }, expected);
  }

  for (const [what, reply] of [
    ['is none', 'hang-up'],
    ['is no HTTP', { bytes: utf8('SSH-2.0-OpenSSH\r\n\r\n') }],
    ['has another version', { bytes: utf8('HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n') }],
    ['has a coding that nobody asked for', { bytes: utf8('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n') }],
    ['does not say how long it is', { bytes: utf8('HTTP/1.1 200 OK\r\n\r\n<config-auth/>') }],
  ] as const satisfies readonly (readonly [string, GatewayReply])[]) {
    it(`goes on without XML where the first answer ${what}`, () =>
      assertSame({ replies: [reply, { response: FORM }, { response: success() }] }, { exitCode: 0, requests: 3 }));
  }

  it('goes on without XML, too, where another server is named, and that says nothing', () =>
    assertSame({ replies: ['elsewhere', 'hang-up', { response: FORM }, { response: success() }] }, { exitCode: 0, requests: 4 }));

  it('asks for a tunnel on a second connection where the first ends without an answer', () =>
    assertSame({ replies: ['hang-up', REFUSED], args: ['--cookie', 'webvpn=COOKIE', '--no-dtls'] }, { exitCode: 2, requests: 2 }));

  it('prints a cookie that was given', () =>
    assertSame({ replies: [REFUSED], args: ['--printcookie', '--cookie', 'webvpn=COOKIE', '--no-dtls'] }, { exitCode: 2, requests: 1 }));

  it('says that a certificate is wanted, and there is none', () =>
    assertSame(
      { replies: [{ response: documentOf('<client-cert-request/>') }, { response: FORM }, { response: success() }] },
      { exitCode: 0, requests: 3 },
    ));

  it('shows what a form says in the same order', () => {
    const texts = '<banner>Welcome</banner><message>Please log in.</message><error>That was wrong.</error>';
    const form = documentOf(formOf(USERNAME + PASSWORD, { texts }));
    return assertSame({ replies: [{ response: form }, { response: success() }] }, { exitCode: 0, requests: 2 });
  });
});
