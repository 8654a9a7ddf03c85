import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { askAboutCertificate } from '../../../src/cli/openconnect/certificate-question.ts';
import { LineReader } from '../../../src/cli/openconnect/line-reader.ts';
import { NoAnswerError, Terminal } from '../../../src/cli/openconnect/terminal.ts';

/** Hand-made: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /O=Example/CN=vpn.example -addext subjectAltName=DNS:vpn.example */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBvTCCAWOgAwIBAgIUfzq6ZQAUm3Q9VChCOJQKHxbRIC0wCgYIKoZIzj0EAwIw
KDEQMA4GA1UECgwHRXhhbXBsZTEUMBIGA1UEAwwLdnBuLmV4YW1wbGUwHhcNMjYx
MTIzMTYwMDQxWhcNMzYxMTIwMTYwMDQxWjAoMRAwDgYDVQQKDAdFeGFtcGxlMRQw
EgYDVQQDDAt2cG4uZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDKJ
hb0IAs5UWvObcNM7kzoabpge2y3P3jhSUwBi6twMoFKs3c+gH86VzTBXkTdrdY4x
eFJAxvEbqZEHbMPWan2jazBpMB0GA1UdDgQWBBRi2m+vU1KqK3jM4clpUlfwyy5m
6TAfBgNVHSMEGDAWgBRi2m+vU1KqK3jM4clpUlfwyy5m6TAPBgNVHRMBAf8EBTAD
AQH/MBYGA1UdEQQPMA2CC3Zwbi5leGFtcGxlMAoGCCqGSM49BAMCA0gAMEUCIGLE
BF2D9JgWJBJFcXGAYhZtKfHpkce01Ks2dwbhmshmAiEA6HqP/vNAk3voIGWeKPaF
j1NedeGuQ8D4p4zA+hVLWAc=
-----END CERTIFICATE-----`;

const SERVER = {
  host: 'vpn.example',
  reason: 'signer not found',
  pin: 'pin-sha256:abc=',
  certificate: new X509Certificate(CERTIFICATE).raw,
};

function terminalOf(answers: string, nonInteractive = false) {
  const input = new PassThrough();
  input.end(answers);
  let screen = '';
  const terminal = new Terminal({
    input: new LineReader(input),
    screen: { write: (text) => (screen += text) },
    decode: (bytes) => Buffer.from(bytes).toString('utf8'),
    nonInteractive,
    answersOnStdin: nonInteractive,
  });
  return { terminal, seen: () => screen };
}

const HINT = `
Certificate from VPN server "vpn.example" failed verification.
Reason: signer not found
To trust this server in future, perhaps add this to your command line:
    --servercert pin-sha256:abc=
`;
const QUESTION = "Enter 'yes' to accept, 'no' to abort; anything else to view: ";

describe('question about a certificate', () => {
  it('is answered with yes or no in any case, and nothing else that looks like it', async () => {
    const { terminal, seen } = terminalOf('yes\n');
    assert.equal(await askAboutCertificate(terminal, SERVER), true);
    assert.equal(seen(), HINT + QUESTION);
    assert.equal(await askAboutCertificate(terminalOf('no\n').terminal, SERVER), false);
    assert.equal(await askAboutCertificate(terminalOf('YES\n').terminal, SERVER), true);
    assert.equal(await askAboutCertificate(terminalOf('No\n').terminal, SERVER), false);
    assert.equal(await askAboutCertificate(terminalOf('y\nyes \nno\n').terminal, SERVER), false);
  });

  it('shows the certificate for any other answer, and is asked again', async () => {
    const { terminal, seen } = terminalOf('view\nno\n');
    assert.equal(await askAboutCertificate(terminal, SERVER), false);
    const [first, second] = seen().split('Server key hash: pin-sha256:abc=\n');
    assert.ok(first?.startsWith(`${HINT}${QUESTION}X.509 Certificate Information:\n\tSerial Number (hex): `));
    assert.match(first ?? '', /\n\tSubject: O=Example, CN=vpn\.example\n/);
    assert.match(first ?? '', /\n\tSubject Public Key Algorithm: EC \(prime256v1\)\n/);
    assert.match(first ?? '', /\n\t\tsha256:[0-9a-f]{64}\n$/);
    assert.equal(second, HINT + QUESTION);
  });

  it('fails where the input is over', async () => {
    const { terminal } = terminalOf('');
    await assert.rejects(askAboutCertificate(terminal, SERVER), NoAnswerError);
  });

  it('is not asked where nobody is there, but the hint is shown', async () => {
    const { terminal, seen } = terminalOf('yes\n', true);
    assert.equal(await askAboutCertificate(terminal, SERVER), false);
    assert.equal(seen(), HINT);
  });
});
