import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

/** An openssl that ends with the test; what it says is kept. */
export class OpenSsl {
  readonly process: ChildProcessWithoutNullStreams;
  output = '';

  constructor(...args: readonly string[]) {
    this.process = spawn('openssl', args);
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  /** Resolves with the match when it has said this; rejects when it ends without, or after ten seconds. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const signal = AbortSignal.timeout(10_000);
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      assert.equal(this.process.exitCode, null, `openssl ended: ${this.output}`);
      await Promise.race([
        once(this.process.stdout, 'data', { signal }),
        once(this.process.stderr, 'data', { signal }),
        once(this.process, 'exit', { signal }),
      ]);
    }
  }

  async end(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await exited;
  }
}
