import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { LogFields, LogLevel } from '../../../src/core/log.ts';
import { Secret } from '../../../src/core/secret.ts';
import { GatewayLogger, type GatewayLoggerOptions, logFor } from '../../../src/gateway/log/gateway-logger.ts';
import { RemoteLogger } from '../../../src/gateway/processes/remote-logger.ts';
import { RecordedLog } from '../../support/forms.ts';

type Form = 'json' | 'text' | 'syslog';

/** What a logger of that form has written, line by line. */
function loggerOf(form: Form, options: Partial<GatewayLoggerOptions> = {}) {
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line) };
  const output = {
    json: { form: 'json', sink } as const,
    text: { form: 'text', sink, program: 'ocserv' } as const,
    syslog: { form: 'syslog', syslog: { write: (severity: string, line: string) => void lines.push(`${severity} ${line}`) } } as const,
  }[form];
  return { logger: new GatewayLogger({ process: 'main', level: 9, pid: 24_874, output, ...options }), lines };
}

const FORMS: readonly Form[] = ['json', 'text', 'syslog'];
const USER = { user: 'alice', remote: '192.0.2.2:48480' };

describe('the log of a gateway', () => {
  it('is JSON, a line an event, for machines', () => {
    const { logger, lines } = loggerOf('json');
    logger.log('info', 'user logged in', { ...USER, mtu: 1434, isMobile: false, group: undefined });
    const { time, ...event } = JSON.parse(lines[0] ?? '');
    assert.deepEqual(event, { level: 'info', pid: 24_874, process: 'main', event: 'user logged in', ...USER, mtu: 1434, isMobile: false });
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
    assert.ok(lines[0]?.endsWith('\n'));
  });

  it('keeps fields apart from what each line has', () => {
    const { logger, lines } = loggerOf('json');
    logger.log('warn', 'odd', { level: 'none', event: 'other', pid: 1, time: 0, process: 'x' });
    const event = JSON.parse(lines[0] ?? '');
    assert.deepEqual([event.level, event.event, event.pid, event.process], ['warn', 'odd', 24_874, 'main']);
    assert.deepEqual([event._level, event._event, event._pid, event._time, event._process], ['none', 'other', 1, 0, 'x']);
  });

  it('has lines of the other processes under their names, at the level of all', () => {
    const { logger, lines } = loggerOf('text', { level: 1 });
    const worker = logFor(logger, 'worker');
    worker.log('debug', 'unseen');
    logger.setLevel(3);
    worker.log('debug', 'connection ended', { reason: 'tired', password: 'hunter2' });
    logFor(logger, 'sec-mod').log('info', 'begun', USER);
    assert.deepEqual(lines, [
      'ocserv[24874]: worker: connection ended reason=tired password=[secret]\n',
      'ocserv[24874]: sec-mod[alice]: 192.0.2.2:48480 begun\n',
    ]);
  });

  it('tells a log of another make of the process by a field', () => {
    const log = new RecordedLog();
    logFor(log, 'worker').log('info', 'begun', { user: 'alice' });
    assert.deepEqual(log.lines, ['info begun user=alice process=worker']);
  });

  it('lets no line of another process travel that is not asked for, and heeds a reload', () => {
    const sent: unknown[] = [];
    const log = new RemoteLogger({ notify: (_name, args) => sent.push(args[1]) > 0 }, 1);
    log.log('debug', 'a');
    log.setLevel(3);
    log.log('debug', 'b');
    log.log('trace', 'c');
    log.setLevel(8);
    log.log('trace', 'd');
    assert.deepEqual(sent, ['b', 'd']);
  });

  it("is text in ocserv's kind of line for a terminal", () => {
    const { logger, lines } = loggerOf('text');
    logger.log('info', 'user logged in', USER);
    logger.log('warn', 'key is in the worker', { why: 'no koffi' });
    logger.log('debug', 'reload', { line: 3, file: '/etc/ocserv/ocserv.conf' });
    const worker = loggerOf('text', { process: 'worker' });
    worker.logger.log('debug', 'suggesting DPD of 90 secs', { user: 'alice', remote: '192.0.2.2' });
    assert.deepEqual(
      [...lines, ...worker.lines],
      [
        'ocserv[24874]: main[alice]:192.0.2.2:48480 user logged in\n',
        'ocserv[24874]: main: warning: key is in the worker why="no koffi"\n',
        'ocserv[24874]: main: reload line=3 file=/etc/ocserv/ocserv.conf\n',
        'ocserv[24874]: worker[alice]: 192.0.2.2 suggesting DPD of 90 secs\n',
      ],
    );
  });

  it('goes to the system log with its severity', () => {
    const { logger, lines } = loggerOf('syslog', { process: 'sec-mod' });
    for (const level of ['error', 'warn', 'info', 'debug', 'trace'] as const) logger.log(level, 'x');
    assert.deepEqual(lines, [
      'error sec-mod: error: x',
      'warning sec-mod: warning: x',
      'info sec-mod: x',
      'debug sec-mod: x',
      'debug sec-mod: x',
    ]);
  });

  const shown: readonly (readonly [number, readonly LogLevel[]])[] = [
    [0, ['error', 'warn', 'info']],
    [1, ['error', 'warn', 'info']],
    [2, ['error', 'warn', 'info']],
    [3, ['error', 'warn', 'info', 'debug']],
    [4, ['error', 'warn', 'info', 'debug']],
    [8, ['error', 'warn', 'info', 'debug', 'trace']],
    [9, ['error', 'warn', 'info', 'debug', 'trace']],
  ];
  for (const [level, levels] of shown) {
    it(`lets through ${levels.join(', ')} at log-level ${level}`, () => {
      for (const form of FORMS) {
        const { logger, lines } = loggerOf(form, { level });
        for (const each of ['error', 'warn', 'info', 'debug', 'trace'] as const) logger.log(each, `this is ${each}`);
        assert.deepEqual(
          lines.map((line) => /this is (\w+)/.exec(line)?.[1]),
          levels,
        );
      }
    });
  }

  it('changes its level at a reload', () => {
    const { logger, lines } = loggerOf('text', { level: 0 });
    logger.log('debug', 'unseen');
    logger.setLevel(3);
    logger.log('debug', 'seen');
    assert.deepEqual(lines, ['ocserv[24874]: main: seen\n']);
  });

  it('never shows a secret, whatever the form, the level and the name of the field', () => {
    const hidden = 'hunter2-correct-horse';
    const fields: LogFields = { answer: new Secret(hidden), password: hidden, webvpnCookie: hidden, bearerToken: hidden, otp: hidden };
    for (const form of FORMS) {
      const { logger, lines } = loggerOf(form);
      logger.log('trace', 'login', fields);
      assert.equal(lines.length, 1);
      assert.equal(lines[0]?.includes(hidden), false, lines[0]);
      assert.equal(lines[0]?.split('[secret]').length, 6, lines[0]);
    }
  });

  it('is one line an event, whatever a client says', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FORMS), fc.string({ unit: 'binary' }), (form, said) => {
        const { logger, lines } = loggerOf(form);
        logger.log('info', said, { user: said, remote: said, agent: said });
        const text = lines.join('');
        assert.doesNotMatch(text.replace(/\n$/, ''), /[\n\r\u001b]/);
        if (form === 'json') assert.equal(JSON.parse(text).agent, said);
      }),
    );
  });

  it('cuts what is longer than anybody reads', () => {
    const { logger, lines } = loggerOf('json');
    logger.log('info', 'request', { agent: 'a'.repeat(100_000) });
    assert.ok((lines[0]?.length ?? 0) < 3_000);
  });
});
