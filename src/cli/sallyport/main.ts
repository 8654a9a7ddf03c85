/** The command `sallyport`: reads the command line and runs what it asks for, loading nothing else. */
import { backgroundReport, runInBackground } from '../background.ts';
import { ownVersion } from '../openconnect/version.ts';
import { outliveReaders } from '../outlive-readers.ts';
import { standSomewhere } from '../somewhere.ts';
import { keepWhenWarm } from '../warm-program.ts';
import { EXIT } from './exit-codes.ts';
import { HOLD_NAMESPACE } from './hold-namespace.ts';
import { type Invocation, readInvocation } from './program.ts';

/** Runs to the end; resolves with the exit code. `keepCode` is called when the command has run what it mostly runs. */
export async function main(keepCode: () => void): Promise<number> {
  const args = process.argv.slice(2);
  if (args[0] === 'openconnect') return (await import('../openconnect/main.ts')).main(keepCode, ['openconnect']);
  if (args[0] === HOLD_NAMESPACE) return holdNamespace();
  standSomewhere();
  outliveReaders();
  keepWhenWarm(keepCode);
  const background = backgroundReport(process.env);
  const invocation = readInvocation(args, {
    version: ownVersion(),
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  });
  return run(invocation, background);
}

async function run(invocation: Invocation, background: ReturnType<typeof backgroundReport>): Promise<number> {
  switch (invocation.command) {
    case 'connect': {
      if (invocation.given.background && background === undefined) return startInBackground(invocation.given.json === true);
      const { runConnect } = await import('./connect-command.ts');
      return runConnect(invocation.host, invocation.given, background);
    }
    case 'proxy': {
      const { runProxy } = await import('./proxy-command.ts');
      return runProxy(invocation.host, invocation.given);
    }
    case 'exec': {
      const { runExec } = await import('./exec-command.ts');
      return runExec(invocation.host, invocation.words, invocation.given);
    }
    case 'login': {
      const { runLogin } = await import('./login-command.ts');
      return runLogin(invocation.host, invocation.format, invocation.given);
    }
    case 'status': {
      const { runStatus } = await import('./session-commands.ts');
      return runStatus(invocation.given);
    }
    case 'disconnect': {
      const { runDisconnect } = await import('./session-commands.ts');
      return runDisconnect(invocation.session, invocation.given);
    }
    case 'reconnect': {
      const { runReconnect } = await import('./session-commands.ts');
      return runReconnect(invocation.session, invocation.given);
    }
    case 'recover': {
      const { runRecover } = await import('./recover-command.ts');
      return runRecover(invocation.given);
    }
    case 'gateway': {
      const { runGatewayCommand } = await import('./gateway-command.ts');
      return runGatewayCommand(invocation.given);
    }
    case 'fake':
      return (await import('./fake-command.ts')).runFake(invocation.protocol, invocation.given);
    case 'doctor': {
      const { host, given } = invocation;
      if (host !== undefined) return (await import('./doctor-gateway.ts')).runGatewayDoctor(host, given);
      return (await import('./doctor-command.ts')).runDoctor(given);
    }
    case 'none':
      return invocation.isMistake ? EXIT.usage : EXIT.ok;
  }
}

/** For `exec --netns`, which starts this command in a namespace; not for people. */
async function holdNamespace(): Promise<number> {
  try {
    await (await import('../../node/network/namespace-holder.ts')).holdNamespace();
    return EXIT.ok;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT.localSetup;
  }
}

/** The child says that it is connected; where it goes on is ours to say. */
async function startInBackground(isJson: boolean): Promise<number> {
  const outcome = await runInBackground(process.argv.slice(1));
  if (outcome.type === 'ended') return outcome.status;
  if (!isJson) {
    process.stderr.write(
      `Going on in the background as process ${outcome.pid}. "sallyport status" shows it, "sallyport disconnect" ends it.\n`,
    );
  }
  return EXIT.ok;
}
