import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXIT } from '../../../src/cli/sallyport/exit-codes.ts';
import type { Explanation } from '../../../src/cli/sallyport/explanation.ts';
import { dateText } from '../../../src/cli/sallyport/human-text.ts';
import { TextReporter, type TextReporterOptions } from '../../../src/cli/sallyport/text-reporter.ts';
import { Secret } from '../../../src/core/secret.ts';
import { cidr, tunnel } from '../../node/network/samples.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeScreen } from './fake-screen.ts';
import { START, status } from './statuses.ts';

interface Scene {
  readonly reporter: TextReporter;
  readonly screen: FakeScreen;
  readonly clock: FakeClock;
}

function scene(isTerminal: boolean, options: Partial<TextReporterOptions> = {}): Scene {
  const screen = new FakeScreen(isTerminal);
  const clock = new FakeClock(START);
  const reporter = new TextReporter({
    screen,
    print: (line) => void screen.write(line),
    verbosity: 0,
    hasUnicode: true,
    configuresNetwork: true,
    goesToBackground: false,
    now: () => clock.now,
    ...options,
  });
  reporter.starting('vpn.example.com');
  return { reporter, screen, clock };
}

/** The lines that came after. */
function said({ reporter, screen }: Scene, say: (reporter: TextReporter) => void): string[] {
  const before = screen.written.length;
  say(reporter);
  return screen.written.slice(before).trimEnd().split('\n');
}

const DONE: Explanation = { exitCode: EXIT.ok, code: 'logged-off', message: 'The session was logged off.' };
const WAY = { device: 'eth0', via: '192.0.2.1' };

describe('the reports for people', () => {
  it('say in a few lines what a connection means', () => {
    const here = scene(false);
    assert.equal(here.screen.written, 'Connecting to vpn.example.com.\n');
    here.reporter.authenticated('alice');
    const config = tunnel({ include: [cidr('10.0.0.0/8')], exclude: [cidr('10.1.0.0/16')], banner: 'Be nice.\n' });
    const expiresAt = new Date(START + 3_600_000);
    assert.deepEqual(
      said(here, (reporter) => reporter.connected(status({ expiresAt: expiresAt.toISOString() }), config)),
      [
        'Be nice.',
        'Connected to vpn.example.com (203.0.113.9) by DTLS 1.2, AES-256-GCM.',
        '  This machine    10.99.0.50 and fd99::50 on tun0, MTU 1400',
        '  Through it      all of IPv6, 10.0.0.0/8',
        '  Not through it  10.1.0.0/16',
        '  DNS             10.99.0.1 with corp.example',
        `  Until           ${dateText(expiresAt)}`,
      ],
    );
  });

  it('say when everything goes through the tunnel, which names are asked there, and how many networks there are', () => {
    const everything = said(scene(false), (reporter) => reporter.connected(status(), tunnel({ splitDns: ['a.example', 'b.example'] })));
    assert.equal(everything[2], '  Through it      everything');
    assert.equal(everything[3], '  DNS             10.99.0.1 for a.example and b.example');
    // F5 sends the default route as its halves.
    const halves = tunnel({ include: [cidr('10.0.0.0/8'), cidr('::/1'), cidr('8000::/1')] });
    assert.equal(said(scene(false), (reporter) => reporter.connected(status(), halves))[2], '  Through it      all of IPv6, 10.0.0.0/8');
    const include = Array.from({ length: 9 }, (_, i) => cidr(`10.${i}.0.0/16`));
    const many = said(scene(false), (reporter) => reporter.connected(status(), tunnel({ only: 4, include, dns: [] })));
    assert.match(many[2] ?? '', /10\.5\.0\.0\/16 and 3 more$/);
    assert.equal(many.length, 3);
  });

  it('say that the network was left alone', () => {
    const here = scene(false, { configuresNetwork: false });
    const lines = said(here, (reporter) => reporter.connected(status(), tunnel()));
    assert.deepEqual(lines.slice(2), ['  Network         left alone: no addresses, routes and DNS were set up']);
  });

  it('say a banner once, though gateways send it twice', () => {
    const here = scene(false);
    here.reporter.log('info', 'login banner', { text: 'Be nice.' });
    const lines = said(here, (reporter) => reporter.connected(status(), tunnel({ banner: 'Be nice.\n' })));
    assert.match(lines[0] ?? '', /^Connected to/);
    assert.deepEqual(here.screen.lines().filter((line) => line === 'Be nice.').length, 1);
  });

  it('follow a connection through its life', () => {
    const here = scene(false);
    here.reporter.connected(status(), tunnel());
    for (const [expected, say] of [
      ['The gateway no longer answers by UDP. Packets go by TLS until it does.', (r) => r.transport('tls', 'TLSv1.3-X')],
      ['Packets go by DTLS 1.2, AES-256-GCM from now on.', (r) => r.transport('dtls', 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384')],
      ['Packets go by ESP, AES-256-CBC from now on.', (r) => r.transport('esp', 'ESP-AES-256-CBC-SHA256')],
      ['The gateway no longer answers. Reconnecting.', (r) => r.lost({ kind: 'path-lost', message: 'The gateway no longer answers' })],
      ['Reconnecting.', (r) => r.lost({ kind: 'renew', message: 'A new connection was asked for.' })],
      ['That did not work. The next try is in 10 s; giving up in 4 min 50 s.', (r) => r.waiting(10_000, 290_000)],
      ['Connected again after 12 s by DTLS 1.2, AES-256-GCM.', (r) => r.reconnected(status(), 12_000)],
      ['Connected again by DTLS 1.2, AES-256-GCM.', (r) => r.reconnected(status(), 300)],
      [
        'Waiting for a network.',
        (r) => r.underlay({ before: { way: WAY, isLost: false, isAddressGone: false }, now: { isLost: true, isAddressGone: false } }),
      ],
      [
        'There is a network again, by eth0.',
        (r) => r.underlay({ before: { isLost: true, isAddressGone: false }, now: { way: WAY, isLost: true, isAddressGone: false } }),
      ],
      [
        'The gateway is reached by wlan0 now.',
        (r) =>
          r.underlay({
            before: { way: WAY, isLost: false, isAddressGone: false },
            now: { way: { device: 'wlan0' }, isLost: false, isAddressGone: false },
          }),
      ],
      ['Disconnecting …', (r) => r.stopping(false)],
      ['Putting the network back without waiting for the gateway …', (r) => r.stopping(true)],
    ] as const satisfies readonly (readonly [string, (reporter: TextReporter) => void])[]) {
      assert.deepEqual(said(here, say), [expected]);
    }
  });

  it('end with what there was of it', () => {
    const here = scene(false);
    here.reporter.connected(status(), tunnel());
    here.clock.advance(9_060_000);
    assert.deepEqual(
      said(here, (reporter) => reporter.ended(DONE, status({ state: 'closed' }))),
      ['Disconnected after 2 h 31 min. Received 1.2 MB, sent 80 kB.'],
    );
  });

  it('end with an error and its next step; and when that was before the tunnel was up, with nothing else', () => {
    const why: Explanation = { exitCode: EXIT.notTrusted, code: 'X', message: 'Not trusted.', next: 'Do something.' };
    assert.deepEqual(
      said(scene(false), (reporter) => reporter.ended(why, undefined)),
      ['Error: Not trusted.', 'Do something.'],
    );
    const stopped: Explanation = { exitCode: EXIT.stopped, code: 'X', message: 'Stopped before the tunnel was up.' };
    assert.deepEqual(
      said(scene(false), (reporter) => reporter.ended(stopped, undefined)),
      ['Stopped before the tunnel was up.'],
    );
    const here = scene(false);
    here.reporter.connected(status(), tunnel());
    const lines = said(here, (reporter) => reporter.ended({ ...why, exitCode: EXIT.endedByGateway, message: 'Ended.' }, status()));
    assert.deepEqual(lines, ['Error: Ended.', 'Do something.', 'Disconnected after 0 s. Received 1.2 MB, sent 80 kB.']);
  });

  it('say of the library’s events those that people should know, and with --verbose all but bytes', () => {
    const quiet = scene(false);
    const log = (reporter: TextReporter) => {
      reporter.log('info', 'tls connected', { host: 'vpn.example.com' });
      reporter.log('trace', 'http sent', { line: 'POST /' });
      reporter.log('warn', 'network note', { note: 'IPv6 is switched off' });
      reporter.log('error', 'tcp connect failed', { endpoint: '[::1]:443', reason: 'Connection refused' });
      reporter.log('error', 'something new', { device: 'tun0', reason: 'bad luck' });
    };
    assert.deepEqual(said(quiet, log), ['IPv6 is switched off.', 'Something new device=tun0: bad luck.']);
    assert.deepEqual(said(scene(false, { verbosity: 1 }), log), [
      'tls connected host=vpn.example.com',
      'network note note=IPv6 is switched off',
      'tcp connect failed endpoint=[::1]:443 reason=Connection refused',
      'something new device=tun0 reason=bad luck',
    ]);
    assert.equal(said(scene(false, { verbosity: 2 }), log).length, 5);
  });

  it('show no secret, and nothing that moves the cursor', () => {
    const here = scene(false, { verbosity: 2 });
    here.reporter.log('info', 'event', { cookie: new Secret('hunter2'), text: 'a\u001b[2Jb\nc' });
    here.reporter.say('x\u0007\u001b]0;title\u0007');
    assert.doesNotMatch(here.screen.written, /hunter2|[\u0007\u001b]/);
    assert.match(here.screen.written, /^event cookie=\[secret\] text=a\[2Jb c$/m);
  });
});

describe('the status line of a connection', () => {
  it('says what is being done until the tunnel is up', () => {
    const { reporter, screen } = scene(true);
    assert.deepEqual(screen.lines(), ['Connecting to vpn.example.com …']);
    for (const [state, line] of [
      ['authenticating', 'Logging in to vpn.example.com …'],
      ['opening', 'Opening the tunnel …'],
      ['bringing-up', 'Setting up the network …'],
    ] as const) {
      reporter.state(state);
      assert.deepEqual(screen.lines(), [line]);
    }
  });

  it('says gateway, address, rates, transport and time, each second anew', () => {
    const { reporter, screen, clock } = scene(true);
    reporter.connected(status(), tunnel());
    assert.equal(screen.lines().at(-1), '● vpn.example.com  10.99.0.50  ↓ 340 kB/s  ↑ 1.2 kB/s  DTLS  0:00:00');
    clock.advance(61_000);
    reporter.tick(status({ transport: 'tls' }));
    assert.equal(screen.lines().at(-1), '● vpn.example.com  10.99.0.50  ↓ 340 kB/s  ↑ 1.2 kB/s  TLS  0:01:01');
    assert.equal(screen.lines().at(-2), 'Press Ctrl-C to disconnect.');
  });

  it('says when the next try to reconnect is', () => {
    const { reporter, screen } = scene(true);
    reporter.connected(status(), tunnel());
    reporter.state('reconnecting');
    assert.equal(screen.lines().at(-1), '○ vpn.example.com  reconnecting …');
    const reconnecting = { since: new Date(START).toISOString(), nextTryAt: new Date(START + 8_000).toISOString() };
    reporter.tick(status({ state: 'reconnecting', reconnecting }));
    assert.equal(screen.lines().at(-1), '○ vpn.example.com  reconnecting, next try in 8 s');
  });

  it('is gone at the end, with nothing left behind', () => {
    const { reporter, screen } = scene(true);
    reporter.connected(status(), tunnel());
    screen.write('^C');
    reporter.stopping(false);
    reporter.tick(status());
    reporter.state('reconnecting');
    reporter.ended(DONE, status());
    assert.deepEqual(screen.lines().slice(-3), ['Disconnecting …', 'Disconnected after 0 s. Received 1.2 MB, sent 80 kB.', '']);
  });

  it('does not disturb a question', async () => {
    const { reporter, screen } = scene(true);
    const answer = await reporter.aside(async () => {
      screen.write('Password? ');
      reporter.state('opening');
      screen.write('****\n');
      return 'secret';
    });
    assert.equal(answer, 'secret');
    assert.deepEqual(screen.lines(), ['Password? ****', 'Opening the tunnel …']);
  });

  it('does without arrows where the terminal has none', () => {
    const { reporter, screen } = scene(true, { hasUnicode: false });
    reporter.connected(status(), tunnel());
    reporter.tick(status());
    assert.equal(screen.lines().at(-1), '* vpn.example.com  10.99.0.50  down 340 kB/s  up 1.2 kB/s  DTLS  0:00:00');
    screen.width = 30;
    reporter.tick(status());
    assert.equal(screen.lines().at(-1), '* vpn.example.com  10.99.0.5~');
    reporter.stopping(false);
    assert.match(screen.written, /Disconnecting \.\.\./);
    assert.doesNotMatch(screen.written, /[^\u0000-\u007f]/);
  });

  it('is left to the next command in the background, which only an error interrupts', () => {
    const { reporter, screen } = scene(true, { goesToBackground: true });
    reporter.connected(status(), tunnel());
    const before = screen.written;
    reporter.tick(status());
    reporter.lost({ kind: 'path-lost', message: 'gone' });
    reporter.reconnected(status(), 5000);
    reporter.ended(DONE, status());
    assert.equal(screen.written.slice(before.length).replace(/\r\u001b\[2K/g, ''), '');
    reporter.ended({ exitCode: EXIT.endedByGateway, code: 'X', message: 'The gateway ended it.' }, status());
    assert.match(screen.written, /Error: The gateway ended it\./);
  });
});
