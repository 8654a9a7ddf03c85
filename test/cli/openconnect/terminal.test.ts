import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { askPerson, showForm } from '../../../src/cli/openconnect/ask-person.ts';
import { HiddenLine } from '../../../src/cli/openconnect/hidden-line.ts';
import { LineReader, MAX_LINE_BYTES } from '../../../src/cli/openconnect/line-reader.ts';
import { NoAnswerError, Terminal, type TerminalOptions } from '../../../src/cli/openconnect/terminal.ts';
import type { AuthField } from '../../../src/core/auth/form.ts';
import { CancelledError, MisuseError } from '../../../src/core/errors.ts';
import { revealed, Secret } from '../../../src/core/secret.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

/** Standard input that holds just this, in pieces. */
function inputOf(...pieces: readonly (string | Uint8Array)[]): PassThrough {
  const stream = new PassThrough();
  for (const piece of pieces) stream.write(piece);
  stream.end();
  return stream;
}

function terminalOf(input: string | PassThrough, options: Partial<TerminalOptions> = {}) {
  let screen = '';
  const terminal = new Terminal({
    input: new LineReader(typeof input === 'string' ? inputOf(input) : input),
    screen: { write: (text) => (screen += text) },
    decode: (bytes) => Buffer.from(bytes).toString('utf8'),
    nonInteractive: false,
    answersOnStdin: false,
    ...options,
  });
  return { terminal, seen: () => screen };
}

const USER: AuthField = { kind: 'text', name: 'username', label: 'Username:' };
const PASSWORD: AuthField = { kind: 'password', name: 'password', label: 'Password:' };

function groupField(...labels: readonly string[]): AuthField & { readonly kind: 'choice' } {
  return { kind: 'choice', name: 'group_list', label: 'Group:', choices: labels.map((label) => ({ label, value: `value of ${label}` })) };
}

describe('lines of standard input', () => {
  const lines = async (...pieces: readonly (string | Uint8Array)[]) => {
    const reader = new LineReader(inputOf(...pieces));
    const read: string[] = [];
    for (let line = await reader.readLine(); line !== undefined; line = await reader.readLine()) read.push(line.toString('latin1'));
    return read;
  };

  it('end at line feeds; the last one need not', async () => {
    assert.deepEqual(await lines('one\ntwo\n'), ['one', 'two']);
    assert.deepEqual(await lines('one\n\ntwo'), ['one', '', 'two']);
    assert.deepEqual(await lines(''), []);
    assert.deepEqual(await lines('\n'), ['']);
  });

  it('keep a carriage return, as openconnect does', async () => {
    assert.deepEqual(await lines('one\r\n'), ['one\r']);
  });

  it('are the same however they arrive', async () => {
    const property = fc.asyncProperty(fc.array(fc.string({ unit: fc.constantFrom('a', '\n', '\r', 'é') })), async (pieces) => {
      const whole = pieces.join('').split('\n');
      if (whole.at(-1) === '') whole.pop();
      const bytes = pieces.map((piece) => Buffer.from(piece, 'latin1'));
      assert.deepEqual(await lines(...bytes), whole);
    });
    await fc.assert(property);
  });

  it('have no small limit, but they have one', async () => {
    const [long] = await lines(`${'x'.repeat(100_000)}\n`);
    assert.equal(long?.length, 100_000);
    await assert.rejects(lines('x'.repeat(MAX_LINE_BYTES + 1)), MisuseError);
  });

  it('wait for what comes later, and lose nothing when the wait is cancelled', async () => {
    const input = new PassThrough();
    const reader = new LineReader(input);
    const controller = new AbortController();
    input.write('be');
    const cancelled = reader.readLine({ signal: controller.signal });
    setImmediate(() => controller.abort());
    await assert.rejects(cancelled, CancelledError);
    const line = reader.readLine();
    input.write('gin\nrest\n');
    assert.equal(String(await line), 'begin');
    assert.equal(String(await reader.readLine()), 'rest');
  });

  it('are not read before they are wanted, nor after', async () => {
    const input = new PassThrough();
    const reader = new LineReader(input);
    const line = reader.readLine();
    input.write('one\n');
    await line;
    assert.equal(input.isPaused(), true);
    assert.equal(input.listenerCount('data'), 0);
  });

  it('are read by one at a time', async () => {
    const input = new PassThrough();
    const reader = new LineReader(input);
    const first = reader.readLine();
    await assert.rejects(reader.readLine(), /already being read/);
    input.end('x');
    assert.equal(String(await first), 'x');
  });

  it('end where the stream breaks, with what was wrong', async () => {
    const input = new PassThrough();
    const line = new LineReader(input).readLine();
    input.destroy(new Error('EIO'));
    await assert.rejects(line, /fgets \(stdin\): EIO/);
  });
});

describe('line that is typed without being shown', () => {
  const typed = (text: string) => {
    const line = new HiddenLine();
    let outcome = 'more';
    for (const byte of Buffer.from(text)) if (outcome === 'more') outcome = line.key(byte);
    return `${outcome} ${Buffer.from(line.bytes).toString('utf8')}`;
  };

  it('ends with Enter, in either form', () => {
    assert.equal(typed('secret\r'), 'done secret');
    assert.equal(typed('secret\n'), 'done secret');
  });

  it('can be corrected', () => {
    assert.equal(typed('sex\x7fcr\b\bret\r'), 'done seret');
    assert.equal(typed('wrong\x15right\r'), 'done right');
    assert.equal(typed('wrong\x17right\r'), 'done right');
    assert.equal(typed('correct hoarse \x17horse\r'), 'done correct horse');
    assert.equal(typed('\x7f\x7fok\r'), 'done ok');
    assert.equal(typed('zł€\x7f\x7fo\r'), 'done zo');
  });

  it('ends the input with Ctrl-D where it is empty, and only itself where it is not', () => {
    assert.equal(typed('\x04'), 'end ');
    assert.equal(typed('x\x04'), 'done x');
  });

  it('is given up with Ctrl-C', () => {
    assert.equal(typed('x\x03'), 'interrupt x');
  });

  it('is given up for the process with Ctrl-\\, and left for a while with Ctrl-Z', () => {
    assert.equal(typed('x\x1c'), 'quit x');
    assert.equal(typed('x\x1a'), 'suspend x');
  });

  it('ignores other control keys', () => {
    assert.equal(typed('a\x10\x13\tb\r'), 'done ab');
  });
});

describe('prompt', () => {
  it('is the label and nothing else; a hidden answer is followed by a line feed', async () => {
    const { terminal, seen } = terminalOf('alice\nsecret\n');
    assert.equal(await askPerson(terminal, USER), 'alice');
    const password = await askPerson(terminal, PASSWORD);
    assert.ok(password instanceof Secret);
    assert.equal(password.reveal(), 'secret');
    assert.equal(seen(), 'Username:Password:\n');
  });

  it('takes an empty answer', async () => {
    const { terminal } = terminalOf('\n');
    assert.equal(revealed((await askPerson(terminal, PASSWORD)) ?? 'nothing'), '');
  });

  it('shows no control characters of the gateway', async () => {
    const { terminal, seen } = terminalOf('x\n');
    await terminal.ask('User\x1b[2Jname:');
    assert.equal(seen(), 'User[2Jname:');
  });

  it('says so where the input is over', async () => {
    const { terminal, seen } = terminalOf('');
    await assert.rejects(askPerson(terminal, USER), NoAnswerError);
    await assert.rejects(askPerson(terminal, PASSWORD), NoAnswerError);
    assert.equal(seen(), 'Username:fgets (stdin): end of input\nPassword:\nfgets (stdin): end of input\n');
  });

  it('is answered in the character set of the locale', async () => {
    const { terminal } = terminalOf(inputOf(Buffer.from([0xf8, 0x0a])), { decode: (bytes) => Buffer.from(bytes).toString('latin1') });
    assert.equal(await askPerson(terminal, USER), 'ø');
  });

  it('can be cancelled', async () => {
    const { terminal } = terminalOf(new PassThrough());
    await assert.rejects(askPerson(terminal, USER, { signal: AbortSignal.abort() }), CancelledError);
  });
});

describe('without a person', () => {
  it('shows the prompt and what is wrong', async () => {
    for (const field of [USER, PASSWORD]) {
      const { terminal, seen } = terminalOf('x\n', { nonInteractive: true });
      await assert.rejects(askPerson(terminal, field), NoAnswerError);
      assert.equal(seen(), `${field.label}***\nUser input required in non-interactive mode\n`);
    }
  });

  it('goes on with standard input where that brought the password', async () => {
    const { terminal, seen } = terminalOf('code\n', { nonInteractive: true, answersOnStdin: true });
    assert.equal(revealed((await askPerson(terminal, PASSWORD)) ?? 'nothing'), 'code');
    await assert.rejects(askPerson(terminal, PASSWORD), NoAnswerError);
    assert.equal(seen(), 'Password:\nPassword:\n***\nUser input required in non-interactive mode\n');
  });
});

describe('choice', () => {
  it('shows the labels and sends the value', async () => {
    const { terminal, seen } = terminalOf('admins\n');
    assert.equal(await askPerson(terminal, groupField('DEFAULT', 'Staff people', 'admins')), 'value of admins');
    assert.equal(seen(), 'Group: [DEFAULT|Staff people|admins]:');
  });

  it('takes the beginning of one label, in any case; a whole label first', async () => {
    const field = groupField('Staff', 'staff people', 'admins');
    for (const [answer, label] of [
      ['AD', 'admins'],
      ['staff', 'Staff'],
      ['STAFF ', 'staff people'],
    ]) {
      assert.equal(await askPerson(terminalOf(`${answer}\n`).terminal, field), `value of ${label}`);
    }
  });

  it('asks again until it is one', async () => {
    const { terminal, seen } = terminalOf('zz\na\nab\n');
    assert.equal(await askPerson(terminal, groupField('ab', 'ac')), 'value of ab');
    const question = 'Group: [ab|ac]:';
    const answers = ['Auth choice "zz" not available', 'Auth choice "a" matches multiple options'];
    assert.equal(seen(), `${question}${answers[0]}\n${question}${answers[1]}\n${question}`);
  });
});

describe('what a form says', () => {
  const form = { banner: 'Welcome', message: 'Please log in.\nTwice.', error: 'Login failed.', fields: [] };

  it('comes before its questions', () => {
    const { terminal, seen } = terminalOf('');
    showForm(terminal, form, 1);
    assert.equal(seen(), 'Welcome\nLogin failed.\nPlease log in.\nTwice.\n');
  });

  it('is the error only with --quiet', () => {
    const { terminal, seen } = terminalOf('');
    showForm(terminal, form, 0);
    showForm(terminal, { banner: 'x', error: '', fields: [] }, 0);
    assert.equal(seen(), 'Login failed.\n');
  });

  it('shows what is not asked because there is but one choice', () => {
    const { terminal, seen } = terminalOf('');
    showForm(terminal, { fields: [USER, groupField('admins'), groupField('one', 'two')] }, 0);
    assert.equal(seen(), 'Group: [admins]:admins\n');
  });
});

describe('a terminal', () => {
  /** A keyboard whose mode is noted. */
  function keyboardOf() {
    const modes: boolean[] = [];
    return { modes, keyboard: { setRawMode: (isRaw: boolean) => modes.push(isRaw) } };
  }

  it('is raw only while something hidden is typed', async () => {
    const { modes, keyboard } = keyboardOf();
    const { terminal } = terminalOf('alice\nsec\x7fret\rrest\n', { keyboard });
    assert.equal(await askPerson(terminal, USER), 'alice');
    assert.deepEqual(modes, []);
    assert.equal(revealed((await askPerson(terminal, PASSWORD)) ?? 'nothing'), 'seret');
    assert.deepEqual(modes, [true, false]);
    assert.equal(await askPerson(terminal, USER), 'rest');
  });

  it('is itself again after Ctrl-C, a signal and the end of the input', async () => {
    for (const end of ['x\x03', 'signal', '\x04', '']) {
      const { modes, keyboard } = keyboardOf();
      const controller = new AbortController();
      const { terminal, seen } = terminalOf(end === 'signal' ? new PassThrough() : end, { keyboard });
      const answer = askPerson(terminal, PASSWORD, { signal: controller.signal });
      if (end === 'signal') setImmediate(() => controller.abort());
      await assert.rejects(answer, end === 'x\x03' || end === 'signal' ? CancelledError : NoAnswerError);
      assert.deepEqual(modes, [true, false]);
      assert.ok(seen().startsWith('Password:\n'));
    }
  });

  it('is itself when Ctrl-\\ and Ctrl-Z are to do what they do there, and goes on with what was typed', async () => {
    const { modes, keyboard } = keyboardOf();
    const raised: string[] = [];
    const raise = (signal: string) => {
      raised.push(`${signal} ${modes.at(-1) === false ? 'cooked' : 'raw'}`);
      if (signal === 'SIGTSTP') process.emit('SIGCONT');
    };
    const { terminal, seen } = terminalOf('sec\x1aret\r', { keyboard, raise });
    assert.equal(revealed((await askPerson(terminal, PASSWORD)) ?? ''), 'secret');
    assert.deepEqual([raised, modes], [['SIGTSTP cooked'], [true, false, false, true, false]]);
    assert.equal(seen(), 'Password:Password:\n');
    const quitting = terminalOf('sec\x1cret\r', { keyboard, raise }).terminal;
    await assert.rejects(askPerson(quitting, PASSWORD), CancelledError); // this process goes on
    assert.equal(raised[1], 'SIGQUIT cooked');
    assert.equal(modes.at(-1), false);
  });

  it('shows nothing hidden after somebody else has stopped the process, and asks again', async () => {
    const { modes, keyboard } = keyboardOf();
    const input = new PassThrough();
    const { terminal, seen } = terminalOf(input, { keyboard });
    const answer = askPerson(terminal, PASSWORD);
    process.emit('SIGCONT');
    assert.deepEqual(modes, [true, false, true]);
    input.write('secret\r');
    assert.equal(revealed((await answer) ?? ''), 'secret');
    assert.equal(seen(), 'Password:Password:\n');
    process.emit('SIGCONT');
    assert.deepEqual(modes, [true, false, true, false], 'and only while it asks');
  });

  it('has no answer where a signal comes that is for something else', async () => {
    for (const field of [USER, PASSWORD]) {
      const { terminal, seen } = terminalOf(new PassThrough());
      assert.equal(terminal.interrupt(), false);
      const answer = askPerson(terminal, field, { signal: new AbortController().signal });
      assert.equal(terminal.interrupt(), true);
      await assert.rejects(answer, NoAnswerError);
      assert.match(seen(), /fgets \(stdin\): Interrupted system call\n$/);
      assert.equal(terminal.interrupt(), false);
    }
  });

  it('gives a real one back to the shell while it is stopped, and goes on', {
    skip: process.platform === 'linux' ? missing('script', 'bash') : 'script(1) has other options here',
    timeout: 30_000,
  }, async () => {
    const program = path.join(import.meta.dirname, 'prompt-program.ts');
    const jobs = `bash -mc "'${process.execPath}' '${program}'; stty -a; fg"`;
    using shell = spawn('script', ['-qec', jobs, '/dev/null']);
    let screen = '';
    shell.stdout.on('data', (chunk) => (screen += chunk));
    const sees = async (text: RegExp) => {
      while (!text.test(screen)) await once(shell.stdout, 'data');
    };
    await sees(/Username:/);
    shell.stdin.write('alice\n');
    await sees(/Password:/);
    shell.stdin.write('sec\x1a');
    await sees(/Password:[\s\S]*\nisig icanon [\s\S]* echo echoe [\s\S]*Password:/);
    shell.stdin.write('ret\r');
    await sees(/secret of alice: 6[\s\S]*Again:/);
    shell.stdin.write('\x1c');
    await once(shell, 'exit');
    assert.doesNotMatch(screen, /Last:/);
  });

  it('is a real one', {
    skip: process.platform === 'linux' ? missing('script') : 'script(1) has other options here',
    timeout: HANG_LIMIT,
  }, async () => {
    const program = path.join(import.meta.dirname, 'prompt-program.ts');
    const shell = spawn('script', ['-qec', `'${process.execPath}' '${program}'`, '/dev/null']);
    let screen = '';
    shell.stdout.on('data', (chunk) => (screen += chunk));
    const sees = async (text: string) => {
      while (!screen.includes(text)) await once(shell.stdout, 'data');
    };
    await sees('Username:');
    shell.stdin.write('alice\n');
    await sees('Password:');
    shell.stdin.write('secreT\x7ft\r');
    await sees('Again:');
    shell.stdin.write('typed\x03');
    await sees('Last:');
    shell.stdin.write('shown\n');
    await once(shell, 'exit');
    assert.match(screen, /^Username:alice\r\nPassword:\r\nsecret of alice: 6\r\nAgain:\r\nCancelledError\r\nLast:shown\r\nshown\r\n$/);
  });
});
