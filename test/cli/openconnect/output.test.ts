import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { authenticateText, cookieText, shellQuoted } from '../../../src/cli/openconnect/authenticate-output.ts';
import { lastWords, type Stage } from '../../../src/cli/openconnect/exit-status.ts';
import { Output, timestampOf } from '../../../src/cli/openconnect/output.ts';
import type { MessageLevel, Mode } from '../../../src/cli/openconnect/settings.ts';
import { configuredAs, statisticsLines } from '../../../src/cli/openconnect/status-text.ts';
import { TOKEN_REFUSED } from '../../../src/cli/openconnect/token-file.ts';
import { EVENTS_WITH_WORDS, progressLine } from '../../../src/cli/openconnect/words.ts';
import { DEVICE_FAILED } from '../../../src/client/vpn-session.ts';
import { PeerMisbehavedError, SallyportError } from '../../../src/core/errors.ts';
import type { LogFields } from '../../../src/core/log.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { Outcome } from '../../../src/core/session/session-machine.ts';
import type { PathStatus } from '../../../src/core/tunnel/machine.ts';
import { parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';

interface Shown {
  readonly output: Output;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

interface OutputWishes {
  readonly mode?: Mode;
  readonly timestamp?: boolean;
  readonly dumpHttpTraffic?: boolean;
}

function outputOf(level: MessageLevel, options: OutputWishes = {}): Shown {
  let stdout = '';
  let stderr = '';
  const output = new Output({
    messages: { level, timestamp: options.timestamp ?? false, dumpHttpTraffic: options.dumpHttpTraffic ?? false },
    mode: options.mode ?? 'connect',
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    now: () => new Date(2026, 0, 2, 3, 4, 5),
  });
  return { output, stdout: () => stdout, stderr: () => stderr };
}

/** One line of each level. */
function sayAll({ output }: Shown): void {
  output.log('error', 'https failed', { host: 'h' });
  output.log('info', 'tcp connected', { endpoint: '192.0.2.1:443' });
  output.log('debug', 'http response', { status: 200, reason: 'OK', version: '1.1' });
  output.log('trace', 'packet', { length: 7 });
}

const ERROR = 'Failed to open HTTPS connection to h\n';
const INFO = 'Connected to 192.0.2.1:443\n';
const DEBUG = 'Got HTTP response: HTTP/1.1 200 OK\n';
const TRACE = 'packet length=7\n';

describe('streams', () => {
  it('get errors on one side and progress on the other, as far as the level goes', () => {
    const expected = ['', INFO, INFO + DEBUG, INFO + DEBUG + TRACE];
    for (const level of [0, 1, 2, 3] as const) {
      const shown = outputOf(level);
      sayAll(shown);
      assert.equal(shown.stdout(), expected[level]);
      assert.equal(shown.stderr(), ERROR);
    }
  });

  it('keep standard output for the result where there is one', () => {
    for (const mode of ['authenticate', 'cookieonly', 'printcookie'] as const) {
      const shown = outputOf(1, { mode });
      sayAll(shown);
      shown.output.result('COOKIE\n');
      assert.equal(shown.stderr(), ERROR + INFO);
      assert.equal(shown.stdout(), 'COOKIE\n');
    }
  });

  it('dump HTTP only where that is asked for, whatever the level', () => {
    const shown = (wishes: OutputWishes) => {
      const { output, stdout } = outputOf(3, wishes);
      output.log('trace', 'http sent', { line: 'GET / HTTP/1.1' });
      return stdout();
    };
    assert.equal(shown({}), '');
    assert.equal(shown({ dumpHttpTraffic: true }), '> GET / HTTP/1.1\n');
  });

  it('show statistics whatever the level', () => {
    const shown = outputOf(0);
    shown.output.always('RX: 0');
    assert.equal(shown.stdout(), 'RX: 0\n');
  });

  it('give way to syslog once it is open', () => {
    const shown = outputOf(2);
    const logged: string[] = [];
    shown.output.useSyslog({ log: (priority, line) => logged.push(`${priority} ${line}`) });
    sayAll(shown);
    assert.deepEqual(logged, [`notice ${ERROR.trim()}`, `info ${INFO.trim()}`, `info ${DEBUG.trim()}`]);
    assert.equal(shown.stdout() + shown.stderr(), '');
  });
});

describe('time in front of a line', () => {
  it('is local, in brackets', () => {
    assert.equal(timestampOf(new Date(2026, 8, 7, 6, 5, 4)), '[2026-09-07 06:05:04] ');
  });

  it('is there for progress, but not for what openconnect prints by itself', () => {
    const shown = outputOf(1, { timestamp: true });
    shown.output.log('info', 'tcp connected', { endpoint: 'p' });
    shown.output.log('error', 'login failed');
    assert.equal(shown.stdout(), '[2026-01-02 03:04:05] Connected to p\n');
    assert.equal(shown.stderr(), 'Failed to complete authentication\n');
  });
});

describe('words', () => {
  const words = (event: string, fields = {}) => progressLine('info', event, fields).text;

  it('are the ones that tools look for', () => {
    assert.equal(words('http request', { method: 'POST', url: 'https://h:1/' }), 'POST https://h:1/');
    assert.equal(
      words('connect answered', { status: 200, reason: 'CONNECTED', version: '1.1' }),
      'Got CONNECT response: HTTP/1.1 200 CONNECTED',
    );
    assert.equal(words('stream up', { dpd: 90, keepalive: 32400 }), 'CSTP connected. DPD 90, Keepalive 32400');
    assert.equal(
      words('datagram up', { cipherSuite: 'DTLSv1.2-X' }),
      'Established DTLS connection (using Sallyport). Ciphersuite DTLSv1.2-X.',
    );
    assert.equal(words('datagram up', { cipherSuite: 'ESP-AES-256-CBC-SHA256' }), 'ESP session established with server');
    assert.equal(words('stream up', { mtu: 1400 }), 'SSL tunnel connected. MTU 1400');
    assert.equal(words('in background', { pid: 7 }), 'Continuing in background; pid 7');
    assert.equal(words('reconnect waiting', { seconds: 10, remaining: 300 }), 'sleep 10s, remaining timeout 300s');
    assert.equal(words('script failed', { script: 'exit 3', status: 3 }), "Script 'exit 3' returned error 3");
    assert.equal(words('bye sent', { reason: 'Aborted by caller' }), 'Send BYE packet: Aborted by caller');
    assert.equal(words('proxy login', { method: 'Basic' }), 'Attempting HTTP Basic authentication to proxy');
    assert.equal(words('proxy login', { method: 'Digest' }), 'Attempting Digest authentication to proxy');
    assert.equal(words('disconnected by gateway', {}), 'Received server disconnect');
    assert.equal(words('disconnected by gateway', { reason: 'Idle' }), 'Received server disconnect: Idle');
    assert.equal(words('disconnected by gateway', { reason: 'Idle', code: 4 }), "Received server disconnect: 04 'Idle'");
    assert.equal(words('terminated by gateway', { reason: '' }), 'received server terminate packet');
    assert.equal(words('script killed', { script: 'x', signal: 'SIGKILL' }), "Script 'x' exited abnormally (9)");
    assert.equal(words('script killed', { script: 'x', signal: 'SIGTERM' }), "Script 'x' exited abnormally (f)");
    assert.equal(words('http response body', { length: 310 }), 'HTTP body length:  (310)');
    const expiry = words('session expires', { at: new Date(2026, 10, 4, 12, 17, 10).getTime() });
    assert.equal(expiry, 'Session authentication will expire at Wed Nov  4 12:17:10 2026\n');
  });

  it('have their level from the table, not from whoever logs', () => {
    const refused = progressLine('info', 'connect answered', { status: 401, reason: 'Cookie is not acceptable', version: '1.1' });
    assert.deepEqual([refused.level, refused.text], [0, 'Got inappropriate HTTP CONNECT response: HTTP/1.1 401 Cookie is not acceptable']);
    const unavailable = (fields: LogFields) =>
      progressLine('info', 'connect answered', { status: 503, reason: 'Busy', version: '1.1', ...fields });
    assert.deepEqual(unavailable({ why: 'maintenance' }), { level: 0, text: 'VPN service unavailable; reason: maintenance' });
    assert.equal(unavailable({}).text, 'VPN service unavailable; reason: <unknown>');
    const answered = (status: number) => progressLine('debug', 'http response', { status, reason: 'R', version: '1.1' }).level;
    assert.deepEqual([answered(200), answered(404), answered(401)], [2, 1, 1]);
    assert.equal(progressLine('trace', 'login failed', {}).level, 0);
    assert.equal(progressLine('error', 'paused', {}).level, 1);
  });

  it('are the event and its fields where there are none', () => {
    assert.deepEqual(progressLine('debug', 'stream opened', { mtu: 1406, group: undefined, cookie: new Secret('x') }), {
      level: 2,
      text: 'stream opened mtu=1406 cookie=[secret]',
    });
    const levels = (['error', 'warn', 'info', 'debug', 'trace'] as const).map((level) => progressLine(level, 'x', {}).level);
    assert.deepEqual(levels, [0, 0, 2, 2, 3]);
    assert.equal(progressLine('debug', 'constructor', {}).text, 'constructor');
  });

  it('do not let a gateway write lines of its own', () => {
    const shown = outputOf(1);
    shown.output.log('error', 'disconnected by gateway', { reason: 'bye\r\nConfigured as 1.2.3.4\x1b[2J' });
    assert.equal(shown.stderr(), 'Received server disconnect: bye Configured as 1.2.3.4[2J\n');
  });

  it('never show a secret, and are never unfinished', () => {
    fc.assert(
      fc.property(fc.constantFrom(...EVENTS_WITH_WORDS), fc.dictionary(fc.string(), fc.string()), (event, fields) => {
        const { text } = progressLine('info', event, { ...fields, at: 0, reason: new Secret('hush') });
        assert.ok(!text.includes('hush') && !/[{}]|undefined/.test(progressLine('info', event, { at: 0 }).text), text);
      }),
    );
  });
});

const IPV4 = { address: parseIp('192.168.99.50') ?? assert.fail(), prefix: 24 };
const IPV6 = parseCidr('fda9::1/64') ?? assert.fail();
const TLS: PathStatus = { state: 'established', cipherSuite: 'TLSv1.3', rekeyAt: 173_000 };

describe('status of a session', () => {
  const of = (stream: PathStatus, datagram: PathStatus, config = {}) => configuredAs({ config, status: { stream, datagram } });

  it('names addresses and channels', () => {
    assert.equal(
      of({ state: 'connected' }, { state: 'connected' }, { ipv4: IPV4, ipv6: IPV6 }),
      'Configured as 192.168.99.50 + fda9::1/64, with SSL connected and DTLS connected',
    );
    assert.equal(
      of({ state: 'down' }, { state: 'disabled' }, { ipv4: IPV4 }),
      'Configured as 192.168.99.50, with SSL disconnected and DTLS disabled',
    );
  });

  it('names compression, and all states of the datagram channel', () => {
    assert.equal(
      of({ state: 'connected', compression: 'lzs' }, { state: 'established', compression: 'oc-lz4' }, { ipv6: IPV6 }),
      'Configured as fda9::1/64, with SSL + LZS connected and DTLS + LZ4 established',
    );
    assert.match(of(TLS, { state: 'down' }), /DTLS unsuccessful$/);
    assert.match(of(TLS, { state: 'connecting' }), /DTLS in progress$/);
  });

  it('is told with traffic, ciphers and times', () => {
    const datagram: PathStatus = { state: 'connected', cipherSuite: 'AES', rekeyAt: 74_000 };
    const session = {
      config: { ipv4: IPV4 },
      status: { stream: TLS, datagram },
      received: { packets: 6, bytes: 488 },
      sent: { packets: 0, bytes: 0 },
      now: 73_000,
    } as const;
    const lines = [
      'Configured as 192.168.99.50, with SSL connected and DTLS connected',
      'RX: 6 packets (488 B); TX: 0 packets (0 B)',
      'SSL ciphersuite: TLSv1.3',
      'DTLS ciphersuite: AES',
      'Next SSL rekey in 100 seconds',
      'Next DTLS rekey in 1 seconds',
    ];
    assert.deepEqual(statisticsLines(session), lines);

    const later = { ...session, status: { stream: TLS, datagram: { ...datagram, state: 'established' as const } } };
    const told = statisticsLines({ ...later, expiresAt: new Date(2026, 10, 24, 12, 17, 10) });
    assert.deepEqual(told, [
      'Configured as 192.168.99.50, with SSL connected and DTLS established',
      'Session authentication will expire at Tue Nov 24 12:17:10 2026\n',
      ...lines.slice(1, 3),
      ...lines.slice(4),
    ]);
  });
});

describe('the end', () => {
  const ended = (kind: Outcome['kind'], message = '', error?: SallyportError) => ({ kind, message, ...(error !== undefined && { error }) });
  const text = (outcome: Outcome, stage: Stage = 'up') =>
    lastWords(outcome, stage).events.map(([event, fields]) => {
      assert.ok(EVENTS_WITH_WORDS.includes(event), event);
      return progressLine('info', event, fields).text;
    });

  it('is 0 where the user wanted it, 2 where the cookie is refused, else 1', () => {
    const kinds = ['logged-off', 'detached', 'refused', 'ended-by-peer', 'failed'] as const;
    const status = Object.fromEntries(kinds.map((kind) => [kind, lastWords(ended(kind), 'up').status]));
    assert.deepEqual(status, { 'logged-off': 0, detached: 0, refused: 2, 'ended-by-peer': 1, failed: 1 });
    // Observed: openconnect 9.01 that is interrupted before its tunnel is up has failed.
    assert.equal(lastWords(ended('logged-off'), 'logging in').status, 1);
    assert.equal(lastWords(ended('detached'), 'connecting').status, 1);
    assert.equal(lastWords(ended('logged-off'), 'setting up').status, 0);
  });

  it('has last words that tools look for', () => {
    assert.deepEqual(text(ended('logged-off')), ['User cancelled (SIGINT/SIGTERM); exiting.']);
    assert.deepEqual(text(ended('detached')), ['User detached from session (SIGHUP); exiting.']);
    assert.deepEqual(text(ended('refused')), ['Cookie is no longer valid, ending session', 'Cookie was rejected by server; exiting.']);
    assert.deepEqual(text(ended('refused'), 'connecting'), ['Creating SSL connection failed', 'Cookie was rejected by server; exiting.']);
    assert.deepEqual(text(ended('ended-by-peer')), ['Session terminated by server; exiting.']);
    assert.deepEqual(text(ended('failed', 'Lost.')), ['Lost.', 'Reconnect failed', 'CSTP reconnect failed; exiting']);
    const strange = new PeerMisbehavedError('No such frame.');
    assert.deepEqual(text(ended('failed', 'No such frame.', strange)), ['No such frame.', 'Unknown packet received; exiting']);
    assert.deepEqual(text(ended('failed', 'No.'), 'logging in'), ['No.', 'Failed to complete authentication']);
    assert.deepEqual(text(ended('failed', 'No.'), 'connecting'), ['No.', 'Creating SSL connection failed', 'Unknown error; exiting.']);
    const noToken = new SallyportError(TOKEN_REFUSED, 'Soft token string is invalid');
    assert.deepEqual(text(ended('failed', noToken.message, noToken), 'logging in'), ['Soft token string is invalid']);
    assert.deepEqual(text(ended('failed', 'No.'), 'setting up'), ['No.']);
    const device = new SallyportError(DEVICE_FAILED, 'There is no TUN.');
    assert.deepEqual(text(ended('failed', device.message, device), 'connecting'), [
      'There is no TUN.',
      'Set up tun device failed',
      'Unrecoverable I/O error; exiting.',
    ]);
    const forbidden = new SallyportError(DEVICE_FAILED, 'Run as root.', { cause: new SallyportError('EPERM', 'Run as root.') });
    assert.deepEqual(text(ended('failed', forbidden.message, forbidden), 'setting up').slice(0, 3), [
      'Failed to bind local tun device (TUNSETIFF): Operation not permitted',
      'To configure local networking, openconnect must be running as root',
      'Run as root.',
    ]);
  });

  it('has no words for what nobody says', () => {
    const source = path.resolve(import.meta.dirname, '../../../src');
    const said = readdirSync(source, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('openconnect/words.ts'))
      .map((name) => readFileSync(path.join(source, name), 'utf8'))
      .join('\n');
    // By a logger, or as a pair of event and fields among the last words.
    const isSaid = (event: string) => new RegExp(`\\blog\\(\\s*'\\w+',\\s*'${event}'|\\[\\s*'${event}',|[?:] '${event}'`).test(said);
    assert.deepEqual(
      EVENTS_WITH_WORDS.filter((event) => !isSaid(event)),
      [],
    );
  });
});

describe('--authenticate', () => {
  const gateway = { host: '127.0.0.1', port: 5443, path: '/' };
  const credential = { gateway, cookie: new Secret('openconnect_strapkey=MHgC; webvpn=AC1='), pin: 'pin-sha256:xp3=' };

  it('prints what a shell can evaluate', () => {
    assert.equal(
      authenticateText({ ...credential, address: parseIp('127.0.0.1') ?? assert.fail() }),
      [
        "COOKIE='openconnect_strapkey=MHgC; webvpn=AC1='",
        "HOST='127.0.0.1'",
        "CONNECT_URL='https://127.0.0.1:5443/'",
        "FINGERPRINT='pin-sha256:xp3='",
        "RESOLVE='127.0.0.1:127.0.0.1'\n",
      ].join('\n'),
    );
  });

  it('leaves RESOLVE empty and open where no address is known', () => {
    const text = authenticateText({ ...credential, gateway: { host: 'vpn.example', port: 443, path: '/x' } });
    assert.match(text, /\nHOST='vpn\.example'\nCONNECT_URL='https:\/\/vpn\.example\/x'\n/);
    assert.ok(text.endsWith('\nRESOLVE='));
  });

  it('puts IPv6 in brackets where a URL needs them', () => {
    const address = parseIp('2001:db8::1') ?? assert.fail();
    const text = authenticateText({ ...credential, gateway: { ...gateway, host: '2001:db8::1' }, address });
    assert.match(text, /\nHOST='\[2001:db8::1\]'\nCONNECT_URL='https:\/\/\[2001:db8::1\]:5443\/'\n/);
    assert.match(text, /\nRESOLVE='\[2001:db8::1\]:2001:db8::1'\n$/);
  });

  it('survives a shell, whatever the gateway put into the cookie', () => {
    const shell = (text: string) => execFileSync('/bin/sh', ['-c', `eval "$1"; printf %s "$COOKIE"`, 'sh', text], { encoding: 'utf8' });
    const nasty = fc.string({ unit: fc.constantFrom("'", '"', '\\', '$', '`', '(', ')', ';', '\n', ' ', 'a', '!', '*') });
    fc.assert(
      fc.property(nasty, (cookie) => {
        assert.equal(shell(authenticateText({ ...credential, cookie: new Secret(cookie) })), cookie);
      }),
      { numRuns: 50 },
    );
  });

  it('escapes an apostrophe', () => {
    assert.equal(shellQuoted("it's"), "'it'\\''s'");
  });
});

describe('--cookieonly', () => {
  it('prints the cookie and nothing else', () => {
    assert.equal(cookieText({ cookie: new Secret('webvpn=x') }), 'webvpn=x\n');
  });
});
