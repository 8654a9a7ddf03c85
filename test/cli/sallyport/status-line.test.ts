import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatusLine } from '../../../src/cli/sallyport/status-line.ts';
import { FakeScreen } from './fake-screen.ts';

describe('the status line', () => {
  it('is written over itself', () => {
    const screen = new FakeScreen();
    const line = new StatusLine(screen);
    line.show('one');
    line.show('two');
    assert.deepEqual(screen.lines(), ['two']);
    line.show('');
    assert.deepEqual(screen.lines(), ['']);
  });

  it('stays below what is printed', () => {
    const screen = new FakeScreen();
    const line = new StatusLine(screen);
    line.show('status');
    line.print('first\nsecond');
    line.print('third');
    assert.deepEqual(screen.lines(), ['first', 'second', 'third', 'status']);
  });

  it('takes away what the terminal echoed of a key', () => {
    const screen = new FakeScreen();
    const line = new StatusLine(screen);
    line.show('status');
    screen.write('^C');
    line.print('Disconnecting …');
    assert.deepEqual(screen.lines(), ['Disconnecting …', 'status']);
  });

  it('never fills the last column, as wide as the terminal is at the moment', () => {
    const screen = new FakeScreen();
    const line = new StatusLine(screen);
    line.show('x'.repeat(79));
    assert.deepEqual(screen.lines(), ['x'.repeat(79)]);
    line.show('x'.repeat(80));
    assert.deepEqual(screen.lines(), [`${'x'.repeat(78)}…`]);
    screen.width = 30;
    line.show('x'.repeat(80));
    assert.deepEqual(screen.lines(), [`${'x'.repeat(28)}…`]);
  });

  it('gives the terminal away and takes it back', () => {
    const screen = new FakeScreen();
    const line = new StatusLine(screen);
    line.show('status');
    line.hide();
    screen.write('Password? ****\n');
    line.show('another');
    line.print('meanwhile');
    line.unhide();
    assert.deepEqual(screen.lines(), ['Password? ****', 'meanwhile', 'another']);
  });

  it('is not there where there is no terminal: lines are plain', () => {
    const screen = new FakeScreen(false);
    const line = new StatusLine(screen);
    line.show('status');
    line.print('first');
    line.hide();
    line.print('second');
    line.unhide();
    assert.equal(screen.written, 'first\nsecond\n');
  });

  it('is written at once with the lines above it: parts would flicker', () => {
    const screen = new FakeScreen();
    const line = new StatusLine(screen);
    line.show('status');
    const before = screen.writes;
    line.print('a\nb\nc');
    assert.equal(screen.writes - before, 1);
  });
});
