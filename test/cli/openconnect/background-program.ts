/**
 * Goes into the background as the drop-in does, for the test of it: prints what became of the child, as JSON. The child does as its argument says.
 */
import { readFileSync } from 'node:fs';
import { backgroundReport, runInBackground } from '../../../src/cli/background.ts';

const [, program = '', ...rest] = process.argv;
const [behaviour] = rest;
const report = backgroundReport(process.env);

if (report === undefined) {
  const files = behaviour === 'has files' ? [{ file: '/one', bytes: Buffer.from('first\xff', 'latin1') }] : [];
  console.log(JSON.stringify(await runInBackground([program, ...rest], { files })));
} else {
  console.log(
    `child ${process.pid} environment ${JSON.stringify(Object.keys(process.env).filter((name) => name.startsWith('SALLYPORT_')))}`,
  );
  switch (behaviour) {
    case 'up':
      report.up();
      break;
    case 'has files':
      for (const { file, bytes } of report.files) console.log(`${file} ${Buffer.from(bytes).toString('hex')}`);
      report.up();
      break;
    case 'reads':
      console.log(`read ${readFileSync(rest[1] ?? '', 'utf8').trim()}`);
      report.up();
      break;
    case 'asks':
      console.log('asking');
      process.stdin.once('data', (typed) => {
        console.log(`read ${String(typed).trim()}`);
        process.stdin.destroy();
        report.up();
      });
      break;
    case 'fails':
      process.exitCode = 3;
      break;
    case 'fails with a reason':
      report.failed('no luck\n');
      process.exitCode = 4;
      break;
    case 'is killed':
      process.kill(process.pid, 'SIGKILL');
      break;
    case 'waits for a signal':
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
        process.on(signal, () => {
          console.log(`ended by ${signal}`);
          process.exit(signal === 'SIGHUP' ? 0 : 5);
        });
      }
      setInterval(() => undefined, 1_000);
      console.log('waiting');
      break;
  }
}
