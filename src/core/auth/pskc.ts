/**
 * Token keys in PSKC files (RFC 6030), as far as software tokens come in them: keys in plain text. Only what is needed is read, and the text is
 * kept, so that a new counter can be written into it without changing anything else.
 *
 *   KeyContainer / KeyPackage / Key[Algorithm]
 *     AlgorithmParameters / ResponseFormat[Length Encoding], Suite
 *     Data / Secret | Counter | TimeInterval / PlainValue
 */
import { Parser } from 'htmlparser2';
import { MisuseError, UnsupportedError } from '../errors.ts';
import { fromBase64 } from '../wire/text.ts';
import {
  DEFAULT_TOKEN_DIGITS,
  DEFAULT_TOKEN_PERIOD,
  MAX_TOKEN_COUNTER,
  type TokenHash,
  type TokenMode,
  type TokenParameters,
} from './tokens.ts';

const MAX_DEPTH = 32;

export interface PskcToken {
  readonly parameters: TokenParameters;
  /** The whole text with another counter in it. */
  render(counter: number): string;
}

/** What one Key element says. */
interface PskcKey {
  algorithm: string;
  suite: string;
  digits: string;
  encoding: string;
  secret: string;
  interval: string;
  counter: string;
  isEncrypted: boolean;
  /** Where the counter's digits are in the text. */
  counterAt: readonly [from: number, to: number] | undefined;
  /** Where a Counter element can go that is not there, and what stands in front of its name. */
  dataEnd: { readonly at: number; readonly namespacePrefix: string } | undefined;
}

/**
 * The first key for `mode`. Throws {@link UnsupportedError} if keys are encrypted, {@link MisuseError} if there is none or it makes no sense:
 * whatever the text, nothing else.
 */
export function parsePskc(mode: TokenMode, text: string): PskcToken {
  const key = keyOf(mode, text);
  const parameters = parametersOf(mode, key);
  const render = (counter: number) => withCounter(text, key, counter);
  const next = parameters.counter + 1;
  // A document that is not well-formed may be readable, and yet have no place for a counter that the next reader would find.
  if (mode === 'hotp' && parametersOf(mode, keyOf(mode, render(next))).counter !== next) {
    throw new MisuseError('the token secret (PSKC) is not well-formed: its counter could not be kept');
  }
  return { parameters, render };
}

function keyOf(mode: TokenMode, text: string): PskcKey {
  const keys = keysOf(text);
  if (keys.some((key) => key.isEncrypted)) {
    throw new UnsupportedError('the token secret (PSKC) is encrypted: export it again without encryption');
  }
  const key = keys.find(({ algorithm }) => algorithm === '' || algorithm.toLowerCase().endsWith(mode));
  if (key === undefined) throw new MisuseError(`the token secret (PSKC) has no key for ${mode.toUpperCase()}`);
  return key;
}

function parametersOf(mode: TokenMode, key: PskcKey): TokenParameters {
  return {
    mode,
    key: secretOf(key),
    hash: hashOf(key),
    digits: numberOf('code length', key.digits, 6, 10, DEFAULT_TOKEN_DIGITS),
    period: numberOf('time interval', key.interval, 1, 3600, DEFAULT_TOKEN_PERIOD),
    counter: numberOf('counter', key.counter, 0, MAX_TOKEN_COUNTER, 0),
  };
}

function keysOf(text: string): PskcKey[] {
  const keys: PskcKey[] = [];
  const path: string[] = [];
  let key: PskcKey | undefined;
  const isAt = (...names: readonly string[]) => names.every((name, i) => path.at(i - names.length) === name);
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        path.push(localName(name));
        if (path.length > MAX_DEPTH) throw new MisuseError('the token secret (PSKC) is nested too deeply');
        if (isAt('Key')) key = newKey(attributes.Algorithm ?? '');
        if (key === undefined) return;
        if (isAt('ResponseFormat')) {
          key.digits = attributes.Length ?? '';
          key.encoding = attributes.Encoding ?? '';
        }
        if (isAt('EncryptedValue')) key.isEncrypted = true;
      },
      ontext(part) {
        if (key === undefined) return;
        if (isAt('Suite')) key.suite += part;
        if (isAt('Data', 'Secret', 'PlainValue')) key.secret += part;
        if (isAt('Data', 'TimeInterval', 'PlainValue')) key.interval += part;
        if (isAt('Data', 'Counter', 'PlainValue')) {
          key.counter += part;
          key.counterAt = [key.counterAt?.[0] ?? parser.startIndex, parser.endIndex + 1];
        }
      },
      onclosetag(name) {
        if (key !== undefined && isAt('Key', 'Data')) {
          key.dataEnd = { at: parser.startIndex, namespacePrefix: name.slice(0, name.length - 'Data'.length) };
        }
        if (key !== undefined && isAt('Key')) {
          keys.push(key);
          key = undefined;
        }
        path.pop();
      },
    },
    { xmlMode: true },
  );
  parser.end(text);
  return keys;
}

function newKey(algorithm: string): PskcKey {
  const empty = { suite: '', digits: '', encoding: '', secret: '', interval: '', counter: '' };
  return { ...empty, algorithm, isEncrypted: false, counterAt: undefined, dataEnd: undefined };
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function secretOf(key: PskcKey): Uint8Array {
  let secret: Uint8Array;
  try {
    secret = fromBase64(key.secret);
  } catch (cause) {
    throw new MisuseError('the token secret (PSKC) has a key that is not base64', { cause });
  }
  if (secret.length === 0) throw new MisuseError('the token secret (PSKC) has no key');
  if (key.encoding !== '' && key.encoding !== 'DECIMAL') {
    throw new UnsupportedError(`the token (PSKC) has codes of kind "${key.encoding}": only decimal ones are known`);
  }
  return secret;
}

function hashOf(key: PskcKey): TokenHash {
  const match = /^(?:HMAC-?)?SHA-?(1|256|512)$/i.exec(key.suite.trim());
  if (match !== null) return `sha${match[1]}` as TokenHash;
  if (key.suite.trim() === '') return 'sha1';
  throw new UnsupportedError(`the token (PSKC) has the suite "${key.suite.trim()}": only HMAC with SHA-1, SHA-256 and SHA-512 are known`);
}

function numberOf(what: string, text: string, min: number, max: number, absent: number): number {
  if (text.trim() === '') return absent;
  const value = /^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new MisuseError(`the token (PSKC) has a ${what} that is not a number from ${min} to ${max}`);
}

function withCounter(text: string, { counterAt, dataEnd }: PskcKey, counter: number): string {
  if (counterAt !== undefined) return text.slice(0, counterAt[0]) + counter + text.slice(counterAt[1]);
  if (dataEnd === undefined) return text; // cannot be: the secret was inside a Data element
  const [open, close] = [`<${dataEnd.namespacePrefix}`, `</${dataEnd.namespacePrefix}`];
  const element = `${open}Counter>${open}PlainValue>${counter}${close}PlainValue>${close}Counter>`;
  return text.slice(0, dataEnd.at) + element + text.slice(dataEnd.at);
}
