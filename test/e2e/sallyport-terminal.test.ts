/** `sallyport connect` as a person sees it: questions, the status line, Ctrl-C at any moment. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ALICE } from '../support/ocserv.ts';
import type { Program } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { atTerminal, CTRL_C, connectArgs, literally, NAMES, screenText, startSallyport } from './sallyport-scene.ts';
import { skip as skipTunnel, TunnelScene } from './tunnel-scene.ts';

const skip = skipTunnel || missing('script');

const DOWN_ENTER = '\u001b[B\r';

async function type(program: Program, at: RegExp, keys: string): Promise<void> {
  await program.waitFor(at);
  program.write(keys);
}

/** Waits for the end, which leaves nothing; returns what was on the screen. */
async function ended(scene: TunnelScene, program: Program, code: number): Promise<string> {
  const finished = await program.finish();
  const screen = screenText(finished.output);
  assert.equal(finished.code, code, screen);
  await scene.assertNoTrace();
  return screen;
}

describe('sallyport connect at a terminal', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('asks who the gateway is and who one is, shows how it goes, and ends with Ctrl-C', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const program = await atTerminal(scene, ['connect', scene.gateway]);
    await type(program, /Is this your gateway\?/, DOWN_ENTER);
    await type(program, /Please enter your username/, `${ALICE.name}\r`);
    await type(program, /Please enter your password/, `${ALICE.password}\r`);
    await program.waitFor(/● 198\.51\.100\.2 {2}10\.77\.0\.\d+ {2}↓ .*B\/s {2}↑ .*B\/s {2}DTLS {2}0:00:0\d/);
    await scene.assertAnswers();
    program.write(CTRL_C);
    const screen = await ended(scene, program, 0);
    assert.match(
      screen,
      new RegExp(`no authority that this machine trusts has signed it\\.\n.*\n {2}--pin ${literally(scene.ocserv.pin)}\n`),
    );
    assert.doesNotMatch(screen, new RegExp(ALICE.password), 'a password is not shown');
    assert.match(screen, /Logged in as alice\.\nConnected to 198\.51\.100\.2 by DTLS 1\.2, AES-256-GCM\.\n/);
    assert.match(screen, /Press Ctrl-C to disconnect\.\n/);
    assert.match(screen, /Disconnected after \d+ s\. Received .*, sent .*\.\n$/);
  });

  it('asks again when the password was wrong', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const program = await atTerminal(scene, connectArgs(scene));
    await type(program, /Please enter your password/, 'wrong\r');
    await type(program, /Login failed\. Please enter your password/, CTRL_C);
    await ended(scene, program, 130);
    // Where nothing can be drawn (Emacs' shell), the same line by line.
    const plain = await atTerminal(scene, ['connect', scene.gateway], 'dumb');
    await type(plain, /Number \[1\]: $/, '2\r');
    await type(plain, /^Please enter your username: $/m, `${ALICE.name}\r`);
    await type(plain, /^Please enter your password: $/m, 'wrong\r');
    await type(plain, /^Login failed\. Please enter your password: $/m, CTRL_C);
    assert.doesNotMatch((await plain.finish()).output, /\u001b|wrong/);
    await scene.assertNoTrace();
  });

  it('leaves nothing after Ctrl-C at a question', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const program = await atTerminal(scene, connectArgs(scene));
    await type(program, /Please enter your password/, CTRL_C);
    assert.match(await ended(scene, program, 130), /Stopped before the tunnel was up\.\n$/);
  });

  it('leaves nothing after Ctrl-C while the gateway does not answer', async () => {
    await using scene = await TunnelScene.open(NAMES);
    await scene.faults.block({ protocol: 'tcp' });
    const program = await atTerminal(scene, connectArgs(scene));
    await type(program, /Logging in to 198\.51\.100\.2/, CTRL_C);
    await ended(scene, program, 130);
  });

  it('leaves nothing after Ctrl-C while the network is being set up', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const program = await atTerminal(scene, connectArgs(scene));
    await type(program, /Please enter your password/, `${ALICE.password}\r`);
    await type(program, /Setting up the network/, CTRL_C);
    // Ctrl-C may come when the tunnel has just come up.
    const { code, output } = await program.finish();
    assert.ok(code === 130 || code === 0, output);
    await scene.assertNoTrace();
    await scene.ocserv.control.assertNoSessions();
  });

  it('does not wait for the gateway after a second Ctrl-C', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const program = await atTerminal(scene, connectArgs(scene));
    await type(program, /Please enter your password/, `${ALICE.password}\r`);
    await program.waitFor(/Press Ctrl-C/);
    await scene.faults.block({ protocol: 'tcp' }, { protocol: 'udp' });
    program.write(CTRL_C);
    await type(program, /Disconnecting/, CTRL_C);
    const { code, output } = await program.finish();
    assert.ok(code === 130 || code === 0, screenText(output));
    await scene.assertNoTrace();
  });

  for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
    it(`ends with ${signal} as with Ctrl-C, also when its terminal is gone`, async () => {
      await using scene = await TunnelScene.open(NAMES);
      const program = await startSallyport(scene, connectArgs(scene, '--password-stdin'), { input: `${ALICE.password}\n` });
      await program.waitFor(/^Connected to /m);
      program.child.stderr?.destroy();
      program.signal(signal);
      assert.equal((await program.finish()).code, 0);
      await scene.assertNoTrace();
    });
  }
});
