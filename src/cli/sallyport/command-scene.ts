/** What `connect` and `login` have in common: who reports, who answers, and the lines of standard input. */
import { decodeLocale, localeCharset } from '../../node/locale-text.ts';
import { LineReader } from '../openconnect/line-reader.ts';
import { ownVersion } from '../openconnect/version.ts';
import type { LoginArguments } from './arguments.ts';
import type { Asker } from './asker.ts';
import { DrawnQuestions } from './drawn-questions.ts';
import { JsonReporter } from './json-reporter.ts';
import { PlainQuestions } from './plain-questions.ts';
import type { Reporter } from './reporter.ts';
import { TerminalAsker } from './terminal-asker.ts';
import { TextReporter } from './text-reporter.ts';
import { UnattendedAsker } from './unattended-asker.ts';

export interface CommandScene {
  readonly reporter: Reporter;
  readonly asker: Asker;
  readonly readLine: () => Promise<string | undefined>;
}

export interface SceneOptions {
  /** False: nothing is said of routes and DNS. */
  readonly configuresNetwork: boolean;
  readonly goesToBackground: boolean;
  /** Ends a question that is being asked. */
  readonly signal: AbortSignal;
}

export function commandScene(given: LoginArguments, options: SceneOptions): CommandScene {
  const { stdin, stdout, stderr } = process;
  const charset = localeCharset();
  const lines = new LineReader(stdin);
  const readLine = async () => {
    const line = await lines.readLine({ signal: options.signal });
    return line === undefined ? undefined : decodeLocale(line, charset);
  };
  const verbosity = given.verbose ?? 0;
  const isDumb = process.env.TERM === 'dumb';
  const nextSecret = given.passwordStdin && !stdin.isTTY ? readLine : undefined;
  if (given.json) {
    const write = (line: string) => void stdout.write(line);
    const reporter = new JsonReporter({ write, verbosity, version: ownVersion(), now: () => new Date() });
    return {
      reporter,
      readLine,
      asker: new UnattendedAsker({ nextSecret, onCertificate: (question) => reporter.certificateRefused(question) }),
    };
  }
  const reporter = new TextReporter({
    screen: { write: (text) => void stderr.write(text), isTerminal: stderr.isTTY && !isDumb, columns: () => stderr.columns },
    print: (line) => void stdout.write(line),
    verbosity,
    hasUnicode: charset === 'utf-8',
    configuresNetwork: options.configuresNetwork,
    goesToBackground: options.goesToBackground,
    now: () => Date.now(),
  });
  if (!stdin.isTTY || !stderr.isTTY) {
    return { reporter, readLine, asker: new UnattendedAsker({ nextSecret, onCertificate: () => undefined }) };
  }
  const { signal } = options;
  const asker = new TerminalAsker({
    questions: isDumb
      ? new PlainQuestions({
          ...{ input: lines, keyboard: stdin, signal },
          write: (text) => void stderr.write(text),
          decode: (bytes) => decodeLocale(bytes, charset),
        })
      : new DrawnQuestions({ input: stdin, output: stderr, signal }),
    say: (text) => reporter.say(text),
    aside: (work) => reporter.aside(work),
  });
  return { reporter, readLine, asker };
}
