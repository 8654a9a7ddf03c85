/**
 * Goes into the background as the drop-in does, for the test of it: prints what became of the child, as JSON. The child does as its argument says.
 */
import { backgroundReport, runInBackground } from '../../../src/cli/background.ts';

const [, program = '', ...rest] = process.argv;
const [behaviour] = rest;
const report = backgroundReport(process.env);

if (report === undefined) {
  console.log(JSON.stringify(await runInBackground([program, ...rest])));
} else {
  console.log(
    `child ${process.pid} environment ${JSON.stringify(Object.keys(process.env).filter((name) => name.startsWith('SALLYPORT_')))}`,
  );
  switch (behaviour) {
    case 'up':
      report.up();
      break;
    case 'asks':
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
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(signal === 'SIGHUP' ? 0 : 5));
      setInterval(() => undefined, 1_000);
      console.log('waiting');
      break;
  }
}
