/**
 * A program that uses the package as its users do: `library-program.ts GATEWAY PIN PASSWORD`. It says what happens, one JSON value a line, and does
 * what lines of standard input say: `reconnect`, `end`.
 */
import { createInterface } from 'node:readline';
import { CancelledError, connect, SallyportError } from 'sallyport';

const [, , gateway = '', pin = '', password = ''] = process.argv;

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

try {
  await using vpn = await connect(`https://${gateway}`, {
    pins: [pin],
    onForm: async ({ message = '', fields }) => {
      const names = fields.map(({ name }) => name);
      say({ asked: names });
      if (message.includes('failed')) throw new CancelledError();
      return { type: 'submit', values: Object.fromEntries(names.map((name) => [name, name === 'username' ? 'alice' : password])) };
    },
  });
  vpn.on('state', (state) => say({ state }));
  vpn.on('lost', ({ kind }) => say({ lost: kind }));
  say({ connected: vpn.status(), networks: vpn.config?.include.length });
  for await (const line of createInterface(process.stdin)) {
    if (line === 'end') break;
    vpn.reconnect();
  }
} catch (error) {
  if (!(error instanceof SallyportError)) throw error;
  say({ rejected: error.code });
}
say('over');
process.stdin.destroy(); // it would keep this program alive; of the connection nothing does
