/** A person at the terminal. */
import { X509Certificate } from 'node:crypto';
import type { TrustQuestion } from '../../client/server-trust.ts';
import { type AskedField, type AuthForm, canBeLeft, type FormAnswer, isShown } from '../../core/auth/form.ts';
import { revealed, Secret } from '../../core/secret.ts';
import { printable } from '../../core/wire/text.ts';
import type { ProtectedFile } from '../../node/credentials/credential-error.ts';
import type { Asker } from './asker.ts';
import { certificateFaultText } from './certificate-fault.ts';
import type { Questions } from './questions.ts';
import { oneLine } from './words.ts';

export interface TerminalAskerOptions {
  readonly questions: Questions;
  /** Shows lines above the question. */
  readonly say: (text: string) => void;
  /** Runs a question while nothing else writes to the terminal. */
  readonly aside: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Questions are one line. */
const MAX_QUESTION = 200;

/** No choice's value: that of a field that is left. */
const LEFT = '';

const TRUST_OPTIONS = [
  { value: 'no', label: 'No, stop here' },
  { value: 'yes', label: 'Yes, go on this time' },
  { value: 'show', label: 'Show the certificate' },
] as const;

export class TerminalAsker implements Asker {
  readonly #options: TerminalAskerOptions;

  constructor(options: TerminalAskerOptions) {
    this.#options = options;
  }

  async answer(form: AuthForm): Promise<FormAnswer> {
    const { say } = this.#options;
    const isOneQuestion = form.fields.filter(({ kind }) => kind !== 'hidden').length === 1;
    // The message of a form with one field is part of the question, unless it only announces it: then it stands above.
    const isInQuestion = isOneQuestion && form.message?.trimEnd().endsWith(':') !== true;
    for (const text of [form.banner, isInQuestion ? undefined : form.message]) if (text !== undefined) say(text);
    if (form.error !== undefined) say(`The gateway says: ${form.error}`);
    const about = isInQuestion ? question(form.message ?? '') : '';
    const values: Record<string, string | Secret> = Object.create(null);
    for (const field of form.fields) {
      if (field.kind === 'hidden' || !isShown(field, (name) => (values[name] === undefined ? undefined : revealed(values[name])))) continue;
      const value = await this.#ask(field, about);
      if (canBeLeft(field) && value === LEFT) continue;
      if (field.kind === 'choice' && field.isGroup === true && value !== (field.initial ?? field.choices[0]?.value)) {
        return { type: 'change-group', group: revealed(value) };
      }
      values[field.name] = value;
    }
    return { type: 'submit', values };
  }

  async trust({ host, fault, pin, certificate }: TrustQuestion): Promise<boolean> {
    this.#options.say(
      [
        `Nobody vouches for the certificate of ${host}: ${certificateFaultText(fault)}.`,
        'To trust its key every time, connect with',
        `  --pin ${pin}`,
      ].join('\n'),
    );
    for (;;) {
      const answer = await this.#prompt((questions) => questions.choose('Is this your gateway?', TRUST_OPTIONS, 'no'));
      if (answer !== 'show') return answer === 'yes';
      this.#options.say(certificateText(certificate));
    }
  }

  async password({ file }: ProtectedFile, isWrong: boolean): Promise<Secret> {
    if (isWrong) this.#options.say(`That is not the password of ${file}.`);
    return new Secret(await this.#secret(`Password of ${file}`));
  }

  async #ask(field: AskedField, about: string): Promise<string | Secret> {
    const message = questionOf(field, about);
    switch (field.kind) {
      case 'text':
        return this.#prompt((questions) => questions.text(message, printable(field.initial ?? '')));
      case 'password':
      case 'otp':
        return new Secret(await this.#secret(message));
      case 'choice': {
        const [first] = field.choices;
        const initialValue = field.initial ?? first?.value;
        const options = field.choices.map(({ value, label }) => ({ value, label: oneLine(label) || value }));
        if (!canBeLeft(field)) return this.#prompt((questions) => questions.choose(message, options, initialValue));
        return this.#prompt((questions) => questions.choose(message, [{ value: LEFT, label: 'The best that answers' }, ...options], LEFT));
      }
    }
  }

  #secret(message: string): Promise<string> {
    return this.#prompt((questions) => questions.secret(message));
  }

  #prompt<T>(ask: (questions: Questions) => Promise<T>): Promise<T> {
    const { questions, aside } = this.#options;
    return aside(() => ask(questions));
  }
}

/** The gateway's words for the field, and what it says about it. */
function questionOf(field: AskedField, about: string): string {
  const label = question(field.label).replace(/[:\s]+$/, '') || field.name;
  if (about === '') return label;
  return about.toLowerCase().includes(label.toLowerCase()) ? about : `${label} (${about})`;
}

function question(text: string): string {
  const line = oneLine(text);
  return line.length > MAX_QUESTION ? `${line.slice(0, MAX_QUESTION)}…` : line;
}

function certificateText(der: Uint8Array): string {
  const { subject, issuer, validFrom, validTo, subjectAltName = 'none', serialNumber, fingerprint256 } = new X509Certificate(der);
  const name = (text: string) => text.replaceAll('\n', ', ');
  return [
    `  Subject     ${name(subject)}`,
    `  Names       ${subjectAltName}`,
    `  Issuer      ${name(issuer)}`,
    `  Valid       ${validFrom} to ${validTo}`,
    `  Serial      ${serialNumber}`,
    `  SHA-256     ${fingerprint256}`,
  ].join('\n');
}
