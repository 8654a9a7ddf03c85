/** Asks questions at the terminal that it is started in: for the test that does so in a real one. */
import { LineReader } from '../../../src/cli/openconnect/line-reader.ts';
import { Terminal } from '../../../src/cli/openconnect/terminal.ts';

const terminal = new Terminal({
  input: new LineReader(process.stdin),
  keyboard: process.stdin,
  screen: process.stderr,
  decode: (bytes) => Buffer.from(bytes).toString('utf8'),
  nonInteractive: false,
  answersOnStdin: false,
});

const user = await terminal.ask('Username:');
const password = await terminal.ask('Password:', { hidden: true });
terminal.show(`secret of ${user}: ${password === 'secret' ? password.length : 'wrong'}`);
await terminal
  .ask('Again:', { hidden: true })
  .catch((error: unknown) => terminal.show(error instanceof Error ? error.name : String(error)));
terminal.show(await terminal.ask('Last:'));
