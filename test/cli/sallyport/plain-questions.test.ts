import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { LineReader } from '../../../src/cli/openconnect/line-reader.ts';
import { PlainQuestions } from '../../../src/cli/sallyport/plain-questions.ts';
import { CancelledError } from '../../../src/core/errors.ts';

/** A person who has typed all this, and the screen. */
function person(typed: string, signal: AbortSignal = new AbortController().signal) {
  const input = new PassThrough();
  input.write(typed);
  const screen = { written: '' };
  const write = (text: string) => {
    screen.written += text;
  };
  const questions = new PlainQuestions({
    ...{ input: new LineReader(input), write, signal },
    keyboard: { setRawMode: (isRaw) => write(isRaw ? '<raw>' : '<cooked>') },
    decode: (bytes) => Buffer.from(bytes).toString('utf8'),
  });
  return { questions, screen, input };
}

const FRUIT = [
  { value: 'a', label: 'Apple' },
  { value: 'b', label: 'Pear' },
];

describe('questions where nothing can be drawn', () => {
  it('are lines, of which those that are secret are not echoed', async () => {
    const { questions, screen } = person('alice\ncorrect horse\rnext\n');
    assert.equal(await questions.text('Please enter your username.', ''), 'alice');
    assert.equal(await questions.secret('Password'), 'correct horse');
    assert.equal(await questions.text('Realm', 'staff'), 'next');
    assert.equal(screen.written, 'Please enter your username: <raw>Password: <cooked>\nRealm [staff]: ');
  });

  it('offer what is taken if nothing is typed', async () => {
    const { questions, screen } = person('\n\n');
    assert.equal(await questions.text('Realm', 'staff'), 'staff');
    assert.equal(await questions.choose('Fruit', FRUIT, 'b'), 'b');
    assert.match(screen.written, /Fruit\n {2}1 {2}Apple\n {2}2 {2}Pear\nNumber \[2\]: $/);
  });

  it('are asked again until a choice is one', async () => {
    const { questions, screen } = person('0\n3\npear\n1e0\n 1 \n');
    assert.equal(await questions.choose('Fruit', FRUIT, undefined), 'a');
    assert.equal(screen.written.split('Number [1]: ').length - 1, 5);
  });

  it('end with Ctrl-C, the end of the input, and the signal, and the echo is back', async () => {
    const { questions, screen } = person('secr\u0003');
    await assert.rejects(questions.secret('Password'), CancelledError);
    assert.match(screen.written, /<cooked>\n$/);
    const away = person('');
    away.input.end();
    await assert.rejects(away.questions.text('Username', ''), CancelledError);
    await assert.rejects(person('', AbortSignal.abort()).questions.secret('Password'), CancelledError);
  });
});
